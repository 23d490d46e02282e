"""An action of the model becomes calls of Home Assistant's intents, for things of this home alone.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from . import devices
from .hearing import Heard, Why
from .home import Home, Place, Thing
from .judging import Action

# They are called one after the other; a place with more has its own slots.
MOST_CALLS = 50
_ONE_AT_A_TIME = ("socket", "kettle", "coffee_machine", "washing_machine")


class Lacks(StrEnum):
    """What an action can't be done for."""

    NOTHING = "nothing"  # no such device there
    WHICH = "which"  # several, and it isn't clear which
    PLACE = "place"  # it isn't clear where
    ABILITY = "ability"  # it can't do that


@dataclass(frozen=True, slots=True)
class Call:
    """One intent, with the plain values of its slots."""

    intent: str
    slots: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        calls: The intents, in order.
        action: What was understood.
        things: Which things they are for.
        place: Where, if that was said or known.
    """

    calls: tuple[Call, ...]
    action: Action
    things: tuple[Thing, ...]
    place: Place | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Why it can't be done, and of what.

    Attributes:
        lacks: Why.
        device: The device, by the model's name.
        place: Where.
        things: Those between which it isn't clear.
    """

    lacks: Lacks
    device: str
    place: Place | None = None
    things: tuple[Thing, ...] = field(default=())


def plan(action: Action, heard: Heard, home: Home, here: str | None) -> Plan | Missing | Why:
    """Return the intents for an action, what lacks for it, or why it is left to others.

    Args:
        action: What the model made of the command, held against the words.
        heard: What was said.
        home: What is exposed.
        here: The id of the area in which it was said; None if that is not known.
    """
    if action.action in ("lock", "unlock") or action.device in ("door", "window", "alarm", "sprinkler"):
        return Why.EXACT
    things, place = _meant(action, heard, home, here)
    if isinstance(things, Missing):
        return things
    if not things:
        return Missing(Lacks.NOTHING, action.device, place)
    if action.everywhere and action.device in _ONE_AT_A_TIME:
        return Missing(Lacks.WHICH, action.device, place, things)
    calls = _calls(action, things, place, home)
    if len(calls) > MOST_CALLS and not isinstance(calls, Lacks):
        calls = Lacks.WHICH  # rather nothing than a part of what is said to be done
    if isinstance(calls, Lacks):
        return Missing(calls, action.device, place, things)
    return Plan(calls, action, things, place)


def _meant(
    action: Action, heard: Heard, home: Home, here: str | None
) -> tuple[tuple[Thing, ...] | Missing, Place | None]:
    """Return what is meant, and where."""
    place = heard.place
    area = home.area(here)
    if heard.things:
        named = tuple(thing for thing in heard.things if place is None or thing.area_id in place.ids)
        if len(named) > 1 and here and any(thing.area_id == here for thing in named):
            named = tuple(thing for thing in named if thing.area_id == here)
        return (Missing(Lacks.WHICH, action.device, place, named) if len(named) > 1 else named), place
    fits = devices.FITS[action.device]
    if place is None and not action.everywhere and area:
        inside = _sorted_out(
            action, [thing for thing in home.things if thing.area_id == here and fits(thing)]
        )
        if inside:
            return inside, Place(area.name, (area,))
    scope = home.inside(place) if place else home.things
    found = _sorted_out(action, [thing for thing in scope if fits(thing)])
    if place is None and not action.everywhere and len(found) > 1:
        return Missing(Lacks.PLACE, action.device, None, found), None
    if len(found) > 1 and action.device in _ONE_AT_A_TIME:
        return Missing(Lacks.WHICH, action.device, place, found), place
    return found, place


def _sorted_out(action: Action, things: Sequence[Thing]) -> tuple[Thing, ...]:
    """Return those of the nearest kind: for the heating a thermostat, not an air conditioner beside it."""
    for nearer in devices.NEARER.get(action.device, ()):
        if chosen := tuple(thing for thing in things if nearer(thing)):
            return chosen
    return tuple(things)


def _calls(
    action: Action, things: tuple[Thing, ...], place: Place | None, home: Home
) -> tuple[Call, ...] | Lacks:
    if action.action in ("turn_on", "open", "turn_off", "close"):
        on = action.action in ("turn_on", "open")
        if action.device == "vacuum":
            return _each("HassVacuumStart" if on else "HassVacuumReturnToBase", things)
        return _together("HassTurnOn" if on else "HassTurnOff", things, place, home)
    things = tuple(thing for thing in things if devices.able(thing, action.property, action.value))
    if not things:
        return Lacks.ABILITY
    if action.action != "set":
        return _changed(action, things)
    return _colored(str(action.value), things) if action.property == "color" else _set(action, things)


def _set(action: Action, things: tuple[Thing, ...]) -> tuple[Call, ...] | Lacks:
    value = float(action.value or 0)
    found = devices.HOW.get((things[0].domain, action.property or ""))
    if found is None:
        return Lacks.ABILITY
    low, high = (0.0, 100.0) if action.property != "temperature" else _bounds(things[0])
    if not low <= value <= high:
        return Lacks.ABILITY
    intent, slot = found
    return _each(intent, things, {slot: value if action.property == "temperature" else round(value)})


def _bounds(thing: Thing) -> tuple[float, float]:
    """Return the temperatures that somebody may mean, in the unit of the home."""
    low, high = (5.0, 35.0) if thing.attributes.get("temperature_unit", "°C") == "°C" else (40.0, 95.0)
    return thing.number("min_temp") or low, thing.number("max_temp") or high


def _colored(color: str, things: tuple[Thing, ...]) -> tuple[Call, ...] | Lacks:
    lights = tuple(thing for thing in things if thing.domain == "light")
    if not lights:
        return Lacks.ABILITY
    kelvin = {"warm_white": 2700, "cold_white": 6500}.get(color)
    return _each("HassLightSet", lights, {"temperature": kelvin} if kelvin else {"color": color})


def _changed(action: Action, things: tuple[Thing, ...]) -> tuple[Call, ...] | Lacks:
    """Return calls for "brighter": each thing from where it stands."""
    wanted = action.property or ""
    step = float(action.value) if isinstance(action.value, int | float) else devices.STEP.get(wanted, 0.0)
    step = step if action.action == "increase" else -step
    if wanted == "volume":
        players = tuple(thing for thing in things if thing.domain == "media_player")
        return (
            _each("HassSetVolumeRelative", players, {"volume_step": round(step)})
            if players
            else Lacks.ABILITY
        )
    calls: list[Call] = []
    if awake := tuple(thing for thing in things if thing.state != "off"):
        things = awake
    elif action.action == "decrease":
        return Lacks.ABILITY
    for thing in things:
        found = devices.HOW.get((thing.domain, wanted))
        attribute, scale = devices.MEASURED.get(wanted, ("", 1.0))
        now = thing.number(attribute)
        if now is None and thing.state == "off" and wanted in ("brightness", "speed"):
            now = 0.0
        if found is None or now is None:
            continue
        intent, slot = found
        value = now * scale + step
        bounded = value if wanted == "temperature" else round(min(100.0, max(0.0, value)))
        if wanted == "brightness" and bounded == 0 and now > 0:
            bounded = 1  # "darker" never switches off
        calls += _each(intent, (thing,), {slot: bounded})
    return tuple(calls) or Lacks.ABILITY


def _each(intent: str, things: Sequence[Thing], slots: dict[str, Any] | None = None) -> tuple[Call, ...]:
    return tuple(Call(intent, {"name": thing.entity_id, **(slots or {})}) for thing in things)


def _together(intent: str, things: tuple[Thing, ...], place: Place | None, home: Home) -> tuple[Call, ...]:
    """Return one call for all things of a place and domain if it is for all of them, else one for each."""
    domains = {thing.domain for thing in things}
    if len(things) > 1 and len(domains) == 1:
        (domain,) = domains
        slots: dict[str, Any] | None = None
        if place is None:
            slots = {"name": "all"}
        elif place.floor:
            slots = {"floor": place.floor.id}
        elif len(place.areas) == 1:
            slots = {"area": place.areas[0].id}
        all_there = {thing.entity_id for thing in home.inside(place) if thing.domain == domain}
        if slots and all_there == {thing.entity_id for thing in things}:
            return (Call(intent, {**slots, "domain": [domain]}),)
    return _each(intent, things)
