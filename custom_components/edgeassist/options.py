"""What a subentry's settings are as fields of a request. Imports nothing of Home Assistant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .const import (
    CONF_MAX_TOKENS,
    CONF_RECOMMENDED,
    CONF_TEMPERATURE,
    CONF_THINK,
    RECOMMENDED_MAX_TOKENS,
    RECOMMENDED_TEMPERATURE,
    RECOMMENDED_THINK,
    THINK_OFF,
    THINK_ON,
)

_THINK = {THINK_OFF: False, THINK_ON: True}


def model_fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields."""
    own: Mapping[str, Any] = {} if settings.get(CONF_RECOMMENDED, True) else settings
    think = own.get(CONF_THINK, RECOMMENDED_THINK)
    return {
        "think": _THINK.get(think, think),
        "max_tokens": int(own.get(CONF_MAX_TOKENS, RECOMMENDED_MAX_TOKENS)),
        "temperature": own.get(CONF_TEMPERATURE, RECOMMENDED_TEMPERATURE),
    }
