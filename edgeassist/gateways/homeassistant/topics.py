"""Where Home Assistant and this device meet at the broker, beside the topics of the wire contract."""

from __future__ import annotations

import re

from edgeassist.protocol.topics import Topics

# The client whose prompts are answered with an event as well, while discovery is on.
CLIENT = "homeassistant"


def object_id(topics: Topics) -> str:
    """Return this device's name in Home Assistant, of `A-Za-z0-9_-`; no other root has the same.

    `edgeassist/kitchen-pi` is `edgeassist__kitchen-pi`; a character that may not stand in it is `_` and two
    hexadecimal digits for each byte.
    """
    return re.sub(r"[^A-Za-z0-9-]", _escape, topics.root)


def discovery_topic(topics: Topics, prefix: str) -> str:
    """Return where Home Assistant looks for this device, below its discovery prefix."""
    return f"{prefix}/device/{object_id(topics)}/config"


def marker_topic(topics: Topics) -> str:
    """Return where the topic of our discovery message stands, retained while that message does."""
    return f"{topics.root}/discovery"


def answer_topic(topics: Topics) -> str:
    """Return where it is said how the prompts of Home Assistant ended."""
    return f"{topics.root}/event/{CLIENT}"


def _escape(found: re.Match[str]) -> str:
    if found[0] == "/":
        return "__"
    return "".join(f"_{byte:02x}" for byte in found[0].encode())
