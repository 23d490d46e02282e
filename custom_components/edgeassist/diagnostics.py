"""What a user may show to others: how the box is, without what was said to it and without names of accounts.

Settings are listed one by one, so that what a newer box adds is left out until somebody has looked at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeassistant.components.diagnostics import REDACTED
from homeassistant.const import CONF_LLM_HASS_API, CONF_PROMPT, __version__
from homeassistant.core import HomeAssistant

from . import EdgeAssistConfigEntry, issues
from .box import Box
from .const import (
    CONF_BASE,
    CONF_CLIENT,
    CONF_CONFIRM,
    CONF_DEVICE,
    CONF_MAX_TOKENS,
    CONF_RECOMMENDED,
    CONF_TEMPERATURE,
    CONF_THINK,
)

# Of `info`; settings with a name, an address or a text of the user's are not among them.
_SETTINGS = {
    "model": ("backend", "context", "template", "think", "sleep_idle_s"),
    "engine": None,
    "sampling": None,
    "decisions": None,
    "admission": None,
    "stream": None,
    "session": None,
    "homeassistant": ("discovery",),
    "mqtt": ("protocol", "keepalive_s", "session_expiry_s", "packet_bytes", "tls"),
}
_FOLDERS = ("state_folder",)
_HEALTH_TEXTS = ("mqtt_last_problem", "mqtt_last_refusal", "reason", "model", "boot_id")
_SUBENTRY = (CONF_LLM_HASS_API, CONF_CONFIRM, CONF_RECOMMENDED, CONF_THINK, CONF_MAX_TOKENS, CONF_TEMPERATURE)


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: EdgeAssistConfigEntry
) -> dict[str, Any]:
    """Return the diagnostics of a box."""
    # None before it has been set up, when Home Assistant has no broker.
    box: Box | None = getattr(entry, "runtime_data", None)
    return {
        "home_assistant": __version__,
        "entry": {
            "version": f"{entry.version}.{entry.minor_version}",
            "data": {name: REDACTED for name in (CONF_BASE, CONF_DEVICE, CONF_CLIENT) if name in entry.data},
        },
        "subentries": [
            {
                "type": subentry.subentry_type,
                "settings": {name: subentry.data[name] for name in _SUBENTRY if name in subentry.data},
                "own_instructions": bool(subentry.data.get(CONF_PROMPT)),
            }
            for subentry in entry.subentries.values()
        ],
        "state": entry.state.value,
        "issues": issues.async_open(hass, entry),
        **(_of_box(box) if box else {}),
    }


def _of_box(box: Box) -> dict[str, Any]:
    return {
        "connected": box.connected,
        "online": box.online,
        "info": _info(box.info.document) if box.info else None,
        "health": _health(box.health),
        "last": {name: value for name, value in box.last.items() if name != "message"},
    }


def _info(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: document.get(name) for name in ("version", "protocol", "capabilities", "model", "cut")}
    settings = _object(document.get("settings"))
    shown = {}
    for table, keys in _SETTINGS.items():
        values = _object(settings.get(table))
        shown[table] = {
            name: values[name] for name in keys or values if name in values and name not in _FOLDERS
        }
    if isinstance(kept["model"], dict):
        # The instructions of decisions are a setting, and may be the user's own text.
        calibration = kept["model"].get("calibration")
        if isinstance(calibration, dict):
            calibration = {name: value for name, value in calibration.items() if name != "instructions"}
            kept["model"] = {**kept["model"], "calibration": calibration}
    return {**kept, "settings": shown}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _health(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: REDACTED if name in _HEALTH_TEXTS and value else value for name, value in document.items()}
