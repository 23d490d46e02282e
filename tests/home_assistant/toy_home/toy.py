"""What all toys share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import area_registry, entity_registry
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

SetUp = Callable[[HomeAssistant, ConfigEntry, AddConfigEntryEntitiesCallback], Any]


class Toy(Entity):
    """Has what its home says of it, and writes its state when that changes."""

    _attr_should_poll = False

    def __init__(self, toy: dict[str, Any]) -> None:
        self.entity_id = self._attr_unique_id = toy["entity"]
        self._attr_name = toy["name"]
        self._toy = toy
        self._attr_device_class = toy["attributes"].get("device_class")
        self._attr_available = toy["attributes"].get("available", True)
        self.begin(toy["state"], toy["attributes"])

    def begin(self, state: str | None, attributes: dict[str, Any]) -> None:
        """Take the first state."""
        raise NotImplementedError

    def now(self, **attributes: Any) -> None:
        """Change attributes of the entity, named without `_attr_`."""
        for name, value in attributes.items():
            setattr(self, f"_attr_{name}", value)
        if self.hass is not None:
            self.async_write_ha_state()

    async def async_added_to_hass(self) -> None:
        """Go to its area, get its other names, and be exposed or not."""
        entities, areas = entity_registry.async_get(self.hass), area_registry.async_get(self.hass)
        changes: dict[str, Any] = {}
        if self._toy["area"]:
            changes["area_id"] = areas.async_get_or_create(self._toy["area"]).id
        if self._toy["aliases"]:
            changes["aliases"] = aliases(self._toy["aliases"])
        entities.async_update_entity(self.entity_id, **changes)
        async_expose_entity(self.hass, "conversation", self.entity_id, self._toy["exposed"])


def aliases(names: list[str]) -> Any:
    """Return other names as the registry takes them: newer ones in order, with the entity's own name."""
    computed = getattr(entity_registry, "COMPUTED_NAME", None)
    return set(names) if computed is None else [computed, *names]


def platform(domain: str, kind: type[Toy]) -> SetUp:
    """Return the `async_setup_entry` of a platform."""

    async def set_up(_hass: HomeAssistant, entry: ConfigEntry, add: AddConfigEntryEntitiesCallback) -> None:
        add(kind(toy) for toy in entry.runtime_data["toys"] if toy["entity"].startswith(f"{domain}."))

    return set_up
