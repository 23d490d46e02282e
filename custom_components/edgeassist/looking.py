"""How things are that somebody asks about, as a list of few lines. Imports nothing of Home Assistant.

A small model that has read a home's tools answers a question with a call that does not exist, or opens the
door that it is asked about. Given nothing but the readings, the same model tells them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .tiny.home import Home, Thing
from .tiny.naming import mentions, plain

PROMPT = (
    "You are told how things are in a home, and answer a question about it in one short sentence, "
    "in the language of the question. You know nothing else."
)
# A small model loses its way in longer lists.
MOST = 40
_UNKNOWN = frozenset(("unknown", "unavailable"))
_OPENS = frozenset(("window", "door", "garage_door", "opening", "garage", "gate"))
# Of binary sensors: what on and off mean.
_MEANS = dict.fromkeys(_OPENS, ("open", "closed"))
_MEANS |= dict.fromkeys(("motion", "occupancy", "presence", "smoke", "gas"), ("detected", "not detected"))
_MEANS |= {
    "lock": ("unlocked", "locked"),
    "moisture": ("wet", "dry"),
    "battery": ("low", "not low"),
    "plug": ("plugged in", "unplugged"),
    "problem": ("has a problem", "has no problem"),
    "running": ("running", "not running"),
    "connectivity": ("connected", "not connected"),
}


def _of(domains: str = "", classes: str = "") -> Callable[[Thing], bool]:
    wanted, kinds = frozenset(domains.split()), frozenset(classes.split())
    return lambda thing: thing.domain in wanted or thing.device_class in kinds


# What is asked about by its kind.
_KINDS = (
    (r"\b(?:lights?|lamps?|lichte?r?|lampen?)\b|灯", _of("light")),
    (r"\b(?:windows?|fenster)\b|窗户?(?!帘)", _of("", "window")),
    (r"\b(?:doors?|gates?|türe?n?|tore?)\b|门", _of("lock", "door garage_door garage gate opening lock")),
    (r"\b(?:locks?|locked|unlocked|schlösser|(?:ab|ver|zu)ge\w*)\b|锁", _of("lock", "lock")),
    (r"\b(?:blinds?|shutters?|curtains?|rollläden|rollladen|vorhänge?)\b|窗帘", _of("cover")),
    (
        r"\b(?:temperature|warm|cold|hot|temperatur|kalt|heiß)\b|温度|[热冷]|暖和",
        _of("climate", "temperature"),
    ),
    (r"\b(?:humid|humidity|feucht|luftfeuchte|luftfeuchtigkeit)\b|湿", _of("humidifier", "humidity")),
    (r"\b(?:music|radio|playing|tv|musik|fernseher)\b|音乐|电视", _of("media_player")),
)


def told(home: Home, said: str) -> str | None:
    """Return the readings that a question is about, a line each; None if nothing of the home is.

    What it names is told, else what is at the place that it names, else all of the kind that it names. A
    question about nothing of these is about no readings.
    """
    words = plain(said)
    found = mentions(words, home)
    named = [thing for each in found for thing in each.things]
    places = [each.place for each in found if each.place]
    there = {id(thing): thing for place in places for thing in home.inside(place)}.values()
    inside = list(there) if places else list(home.things)
    fits = [fit for pattern, fit in _KINDS if re.search(pattern, words, re.IGNORECASE)]
    of_kind = [thing for thing in inside if any(fit(thing) for fit in fits)]
    chosen = _with_sensors(named, home) if named else of_kind or (inside if places else [])
    lines = sorted(filter(None, (_line(thing, home) for thing in chosen)))
    return "\n".join(lines[:MOST]) or None


def _with_sensors(things: Iterable[Thing], home: Home) -> list[Thing]:
    """Return things, and those that are called after them: "Freezer power" of "Freezer"."""
    wanted = tuple(name.casefold() for thing in things for name in thing.names)
    return [each for each in home.things if each.name.casefold().startswith(wanted) or each in things]


def _line(thing: Thing, home: Home) -> str | None:
    area = home.area(thing.area_id)
    name = thing.name
    if area and area.name.casefold() not in name.casefold():
        name = f"{name} ({area.name})"
    return f"- {name}: {_state(thing)}"


def _state(thing: Thing) -> str:
    if thing.state in _UNKNOWN:
        return "not known"
    unit = thing.attributes.get("unit_of_measurement")
    match thing.domain:
        case "sensor":
            return f"{thing.state} {unit}" if unit else thing.state
        case "binary_sensor":
            means = _MEANS.get(thing.device_class or "")
            return means[thing.state != "on"] if means else thing.state
        case "climate":
            return _climate(thing)
    return thing.state


def _climate(thing: Thing) -> str:
    unit = thing.attributes.get("temperature_unit", "°C")
    parts = [str(thing.attributes.get("hvac_action") or thing.state)]
    for attribute, words in (("current_temperature", "now"), ("temperature", "set to")):
        number = thing.number(attribute)
        if number is not None:
            parts.append(f"{words} {number:g} {unit}")
    return ", ".join(parts)
