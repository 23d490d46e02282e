"""The sensors of a place in the layout that the model reads best, and what it was asked for among them.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import words
from .asking import ROOM
from .hearing import Heard
from .home import READ_ONLY, Home, Place, Thing
from .quantities import quantity_of
from .words import Language

# The model was trained with up to so many.
MOST = 24
_HEADING: dict[Language, str] = {"en": "Sensors:", "zh": "传感器:"}
_UNKNOWN = ("unknown", "unavailable")
_STATES: dict[str, dict[Language, str]] = {
    "open": {"en": "open", "zh": "开着"},
    "closed": {"en": "closed", "zh": "关着"},
    "locked": {"en": "locked", "zh": "锁着"},
    "unlocked": {"en": "unlocked", "zh": "没锁"},
    "jammed": {"en": "jammed", "zh": "卡住了"},
    "on": {"en": "on", "zh": "开着"},
    "off": {"en": "off", "zh": "关着"},
    "detected": {"en": "detected", "zh": "有人"},
    "clear": {"en": "clear", "zh": "无人"},
}
# What the model was trained with for what it was not.
_NEAREST = {"unlocked": "closed", "jammed": "closed"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a quantity from a thing.

    Attributes:
        quantity: By the model's English name.
        thing: Which says so.
        value: A number with its unit, or one of the words of a state, in English.
    """

    quantity: str
    thing: Thing
    value: str

    def told(self, language: Language) -> str:
        """Return the value in a language."""
        return _told(self.value, language)


def readings_of(heard: Heard, home: Home, here: str | None) -> tuple[tuple[Reading, ...], Place | None]:
    """Return what is known of what a question is about, and the place: the one named, or where it was asked.

    Without either, it is about all that the home knows.
    """
    if heard.things:
        return tuple(_all(_and_its_sensors(heard.things, home))), heard.place
    area = home.area(here)
    place = heard.place or (Place(area.name, (area,)) if area else None)
    return tuple(_all(home.inside(place))), place


def system_prompt(readings: Iterable[Reading], language: Language) -> str:
    """Return the list for the model: each quantity once, of the one room that its question names."""
    first: dict[str, str] = {}
    for reading in readings:
        first.setdefault(reading.quantity, _told(_NEAREST.get(reading.value, reading.value), language))
    between = " " if language == "en" else ""
    lines = [
        f"{ROOM[language]}{between}{words.QUANTITIES[quantity][language][0]}: {value}"
        for quantity, value in list(first.items())[:MOST]
    ]
    return "\n".join([_HEADING[language], *lines]) if lines else ""


def _told(value: str, language: Language) -> str:
    state = _STATES.get(value)
    return state[language] if state else value


def _and_its_sensors(things: tuple[Thing, ...], home: Home) -> tuple[Thing, ...]:
    """Return the things, and the sensors that are called after them: "Freezer power" of "Freezer"."""
    names = tuple(name.casefold() for thing in things for name in thing.names)
    sensors = (each for each in home.things if each.domain in READ_ONLY and each not in things)
    return (*things, *(each for each in sensors if each.name.casefold().startswith(names)))


def _all(things: Iterable[Thing]) -> Iterable[Reading]:
    rank = {"sensor": 0, "binary_sensor": 1}
    for thing in sorted(things, key=lambda thing: (rank.get(thing.domain, 2), thing.entity_id)):
        if thing.state not in _UNKNOWN:
            yield from _read(thing)


def _read(thing: Thing) -> Iterable[Reading]:
    unit = str(thing.attributes.get("unit_of_measurement", ""))
    quantity = quantity_of(thing)
    if quantity is None:
        return
    match thing.domain:
        case "sensor":
            value = f"{thing.state} {unit}".strip()
        case "binary_sensor" if quantity == "motion":
            value = "detected" if thing.state == "on" else "clear"
        case "binary_sensor":
            value = "open" if thing.state == "on" else "closed"
        case "light":
            value = "on" if thing.state == "on" else "off"
        case "lock":
            value = _locks(thing.state)
        case "cover":
            value = "closed" if thing.state == "closed" else "open"
        case _:
            value = _heats(thing)
            warm = thing.number("current_temperature")
            if warm is not None:
                unit = str(thing.attributes.get("temperature_unit", "°C"))
                yield Reading("temperature", thing, f"{warm:g} {unit}")
    yield Reading(quantity, thing, value)


def _locks(state: str) -> str:
    match state:
        case "locked" | "jammed":
            return state
        case "open" | "opening":
            return "open"
        case _:
            return "unlocked"


def _heats(thing: Thing) -> str:
    action = thing.attributes.get("hvac_action")
    if action is not None:
        return "on" if action == "heating" else "off"
    return "off" if thing.state == "off" else "on"
