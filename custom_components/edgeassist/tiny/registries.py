"""The home as Home Assistant's registries have it, and where somebody speaks."""

from __future__ import annotations

from collections.abc import Iterable

from homeassistant.components import conversation
from homeassistant.components.homeassistant.exposed_entities import async_should_expose
from homeassistant.core import HomeAssistant, State, callback
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import floor_registry as fr
from homeassistant.helpers import intent

from .home import Area, Floor, Home, Thing


@callback
def home_of(hass: HomeAssistant) -> Home:
    """Return what is exposed to the assistant."""
    entities, unit = er.async_get(hass), hass.config.units.temperature_unit
    things = []
    for state in hass.states.async_all():
        if not async_should_expose(hass, conversation.DOMAIN, state.entity_id):
            continue
        entry = entities.async_get(state.entity_id)
        names = tuple(name for name in _names(hass, entry, state) if name)
        attributes = dict(state.attributes)
        if state.domain == "climate":
            attributes["temperature_unit"] = unit
        things.append(
            Thing(
                state.entity_id,
                names or (state.entity_id,),
                _area_of(hass, entry),
                state.attributes.get("device_class"),
                state.state,
                attributes,
            )
        )
    return Home(
        tuple(
            Area(area.id, area.name, tuple(sorted(area.aliases)), area.floor_id)
            for area in ar.async_get(hass).async_list_areas()
        ),
        tuple(
            Floor(floor.floor_id, floor.name, tuple(sorted(floor.aliases)))
            for floor in fr.async_get(hass).async_list_floors()
        ),
        tuple(things),
    )


@callback
def area_of_speaker(
    hass: HomeAssistant, user_input: conversation.ConversationInput
) -> tuple[str | None, str | None]:
    """Return the ids of the area and the device in which somebody was heard; None if not known."""
    area_id, device_id = None, user_input.device_id
    satellite = er.async_get(hass).async_get(user_input.satellite_id) if user_input.satellite_id else None
    if satellite:
        area_id, device_id = satellite.area_id, satellite.device_id
    return area_id or _area_of_device(hass, device_id), device_id


def _names(hass: HomeAssistant, entry: er.RegistryEntry | None, state: State) -> Iterable[str]:
    # Since 2026.3 or so aliases may hold the name itself, in the user's order.
    if of_entity := getattr(intent, "async_get_entity_aliases", None):
        return dict.fromkeys((state.name, *of_entity(hass, entry, state=state)))
    return (state.name, *sorted(entry.aliases if entry else ()))


def _area_of(hass: HomeAssistant, entry: er.RegistryEntry | None) -> str | None:
    if entry is None:
        return None
    return entry.area_id or _area_of_device(hass, entry.device_id)


def _area_of_device(hass: HomeAssistant, device_id: str | None) -> str | None:
    device = dr.async_get(hass).async_get(device_id) if device_id else None
    if device is None:
        return None
    # Since 2026.8 or so a device may be part of another, whose area is its own.
    if effective := getattr(dr, "async_get_effective_area_id", None):
        area_id: str | None = effective(hass, device)
        return area_id
    return device.area_id
