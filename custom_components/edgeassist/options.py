"""What a subentry says of the model's answers, as fields of a request. Imports nothing of Home Assistant."""

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


def model_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields, by what is recommended or by what was chosen."""
    chosen = {} if options.get(CONF_RECOMMENDED, True) else options
    think = chosen.get(CONF_THINK, RECOMMENDED_THINK)
    return {
        "max_tokens": int(chosen.get(CONF_MAX_TOKENS, RECOMMENDED_MAX_TOKENS)),
        "temperature": float(chosen.get(CONF_TEMPERATURE, RECOMMENDED_TEMPERATURE)),
        "think": {THINK_OFF: False, THINK_ON: True}.get(think, "auto"),
    }
