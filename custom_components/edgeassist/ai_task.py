"""AI tasks."""

from __future__ import annotations

from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from . import EdgeAssistConfigEntry


async def async_setup_entry(
    hass: HomeAssistant, entry: EdgeAssistConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the tasks of a box."""
