"""A custom integration for tests: the home that its one config entry describes (`toys.Home.json`)."""

from __future__ import annotations

import json
from typing import Any

from homeassistant.components import intent
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import area_registry, device_registry, floor_registry

DOMAIN = "toy_home"
PLATFORMS = (
    Platform.BINARY_SENSOR,
    Platform.CLIMATE,
    Platform.COVER,
    Platform.FAN,
    Platform.LIGHT,
    Platform.LOCK,
    Platform.MEDIA_PLAYER,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.VACUUM,
)


async def async_setup_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Make its floors, areas and satellites, then its toys."""
    entry.runtime_data = home = json.loads(entry.data["home"])
    areas = {area["name"]: _area(hass, area) for area in home["areas"]}
    devices = device_registry.async_get(hass)
    for name, area in home["satellites"].items():
        device = devices.async_get_or_create(
            config_entry_id=entry.entry_id, identifiers={(DOMAIN, name)}, name=name
        )
        devices.async_update_device(device.id, area_id=areas[area])
        if name in home["timers"]:
            entry.async_on_unload(intent.async_register_timer_handler(hass, device.id, lambda *_: None))
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Take the toys away; the registries forget them with the entry."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


def _area(hass: HomeAssistant, area: dict[str, Any]) -> str:
    floors, areas = floor_registry.async_get(hass), area_registry.async_get(hass)
    floor = None
    if name := area["floor"]:
        floor = floors.async_get_floor_by_name(name) or floors.async_create(name)
    found = areas.async_get_or_create(area["name"])
    areas.async_update(found.id, aliases=set(area["aliases"]), floor_id=floor and floor.floor_id)
    return found.id
