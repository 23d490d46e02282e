"""Locks, doors, gates and valves: without a model, where the words are a verb and the one thing that it fits.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

import re

from .hearing import Heard
from .home import Home, Thing
from .intents import Call, Plan
from .judging import Action
from .words import Language

_SAID: dict[Language, re.Pattern[str]] = {
    "en": re.compile(
        r"(?:please )?(?P<verb>lock|unlock|open|close|shut)(?: up)?(?: the| my| our)?"
        r"(?: (?P<noun>lock|(?:garage |front |back )?doors?|gate|window|valve))?"
        r"(?: (?:in|of|at)(?: the)?)?(?: please)?"
    ),
    "zh": re.compile(
        "(?:请|麻烦|帮我|把)*(?:(?P<first>锁上|锁好|锁|解锁|打开|关上|关闭|开|关))?的?"
        "(?P<noun>门锁|车库门|大门|闸门|门|窗户|窗|阀门)?(?P<last>锁上|锁好|锁|解锁|打开|关上|关闭)?了?"
    ),
}
_VERBS = {
    "lock": "lock",
    "unlock": "unlock",
    "open": "open",
    "close": "close",
    "shut": "close",
    **dict.fromkeys(("锁上", "锁好", "锁"), "lock"),
    "解锁": "unlock",
    **dict.fromkeys(("打开", "开"), "open"),
    **dict.fromkeys(("关上", "关闭", "关"), "close"),
}
# Which classes of covers a noun may be; valves and locks have a domain of their own.
_COVERS = {"door": ("garage", "gate", "door"), "gate": ("gate",), "window": ("window",)}
_NOUNS = {
    "门": "door",
    "大门": "door",
    "车库门": "door",
    "闸门": "gate",
    "窗户": "window",
    "窗": "window",
    "阀门": "valve",
}


def exactly(heard: Heard, home: Home) -> Plan | None:
    """Return what is to be done, if the words leave nothing to guess; None if they do."""
    if heard.question or not (heard.things or heard.place):
        return None
    found = _SAID[heard.language].fullmatch((" " if heard.language == "en" else "").join(heard.left.split()))
    if found is None:
        return None
    if heard.language == "en":
        said = found["verb"]
    elif bool(found["first"]) == bool(found["last"]):
        return None
    else:
        said = found["first"] or found["last"]
    verb = _VERBS[said]
    noun = (found["noun"] or "").split(" ")[-1].rstrip("s")
    things = heard.things or home.inside(heard.place)
    if heard.things and heard.place:
        things = tuple(thing for thing in things if thing.area_id in heard.place.ids)
    if not (noun or heard.things) and verb in ("open", "close"):
        # "Open the garage": the only thing there that opens.
        things = things if sum(thing.domain in ("cover", "valve") for thing in things) == 1 else ()
        noun = "door"
    fitting = tuple(
        thing for thing in things if _fits(thing, verb, _NOUNS.get(noun, noun), named=bool(heard.things))
    )
    if len(fitting) != 1:
        return None
    intent = "HassTurnOn" if verb in ("lock", "open") else "HassTurnOff"
    action = Action(verb, "door")
    return Plan((Call(intent, {"name": fitting[0].entity_id}),), action, fitting, heard.place)


def _fits(thing: Thing, verb: str, noun: str, *, named: bool) -> bool:
    if verb in ("lock", "unlock"):
        return thing.domain == "lock"
    if thing.domain == "valve":
        return named or noun == "valve"
    classes = ("garage", "gate", "door", "window") if named and not noun else _COVERS.get(noun, ())
    return thing.domain == "cover" and thing.device_class in classes
