"""Names that several rooms of the integration use."""

from __future__ import annotations

import logging

DOMAIN = "edgeassist"
LOGGER = logging.getLogger(__package__)

# The version of the wire contract that is spoken here (`protocol` in `<root>/info`).
PROTOCOL_VERSION = 1
# The daemon's default for the setting `mqtt.base`.
DEFAULT_BASE = "edgeassist"
# As whom the installer's access control list lets Home Assistant ask. Not as `homeassistant`: answers to that
# one fire the event entity of the box.
DEFAULT_CLIENT = "assist"
# The model inside the daemon, by its name in `info`: it knows no tools, and answers commands with actions.
TINY = "EdgeAssist Tiny"

# Of an entry: where the box is, and under which name it is asked.
CONF_BASE = "base"
CONF_DEVICE = "device"
CONF_CLIENT = "client"

# Of a subentry.
SUBENTRY_CONVERSATION = "conversation"
SUBENTRY_AI_TASK = "ai_task_data"
CONF_RECOMMENDED = "recommended"
CONF_THINK = "think"
CONF_MAX_TOKENS = "max_tokens"
CONF_TEMPERATURE = "temperature"
CONF_CONFIRM = "confirm"

THINK_OFF = "off"
THINK_ON = "on"
THINK_AUTO = "auto"
# A voice answer is a sentence or two, and a thought costs a small box half a minute.
RECOMMENDED_THINK = THINK_OFF
RECOMMENDED_MAX_TOKENS = 400
RECOMMENDED_TEMPERATURE = 0.3

# How long a box may be away before repairs say so.
GONE_AFTER_S = 24 * 60 * 60

DEFAULT_CONVERSATION_NAME = "EdgeAssist"
DEFAULT_AI_TASK_NAME = "EdgeAssist AI Task"
