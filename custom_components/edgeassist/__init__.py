"""EdgeAssist in Home Assistant: agents and tasks that a box at the broker answers.

The integration has no connection of its own: it speaks the wire contract (docs/protocol.md) over Home
Assistant's MQTT integration. Sensors and buttons of the box come by MQTT discovery, and not from here.
"""

from __future__ import annotations

from typing import Any

from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryNotReady, HomeAssistantError

from . import issues
from .box import Box
from .const import CONF_BASE, CONF_CLIENT, CONF_DEVICE, DOMAIN
from .look import async_subscribed
from .topics import Topics

PLATFORMS = (Platform.CONVERSATION, Platform.AI_TASK)

EdgeAssistConfigEntry = ConfigEntry[Box]


async def async_setup_entry(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> bool:
    """Listen to the box. It need not be there: its agents say so then."""
    if not await mqtt.async_wait_for_mqtt_client(hass):
        raise ConfigEntryNotReady(translation_domain=DOMAIN, translation_key="mqtt_not_ready")
    box = Box(hass, Topics(entry.data[CONF_BASE], entry.data[CONF_DEVICE], entry.data[CONF_CLIENT]))
    entry.runtime_data = box
    entry.async_on_unload(box.close)
    try:
        await box.start()
    except HomeAssistantError as error:
        raise ConfigEntryNotReady(translation_domain=DOMAIN, translation_key="mqtt_not_ready") from error
    known = _said(entry)

    async def reload(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> None:
        # Home Assistant notes in the entry how it was found, too, while answers are under way.
        if _said(entry) != known:
            await hass.config_entries.async_reload(entry.entry_id)

    entry.async_on_unload(entry.add_update_listener(reload))
    entry.async_on_unload(issues.async_watch(hass, entry))
    await async_subscribed(hass, box.topics.replies)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> bool:
    """Take the agents away; what they were asked is cancelled."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> None:
    """Take away what was reported of the box."""
    issues.async_forget(hass, entry)


def _said(entry: EdgeAssistConfigEntry) -> tuple[dict[str, Any], dict[str, tuple[str, dict[str, Any]]]]:
    """Return what of an entry the user has said."""
    return dict(entry.data), {key: (each.title, dict(each.data)) for key, each in entry.subentries.items()}
