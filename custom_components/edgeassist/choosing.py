"""Which tool a plain command is for, by its verb and what it names. Imports nothing of Home Assistant.

Where nothing but a verb is left of a command without the names of the home, no model is needed to know which
tool is meant, and for which thing where one is named. A small model often takes the wrong tool, and writes
for seconds. All else is left to the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .direction import COURTESY, NOT, intent_of
from .plain import parts
from .pointing import KINDS, NEEDLESS
from .tiny.home import READ_ONLY, Home, Place, Thing
from .tiny.naming import mentions, plain, replaced
from .tiny.words import HAN

# A plain command is short.
_MOST = 200
_WORDS = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d]+|%")
_MORE_NEEDLESS = NEEDLESS | {"please", "now", "bitte", "jetzt", "mal", "up", "s"}
# Verbs, where they come first.
_ALSO_KINDS = frozenset(("lock", "switch"))
_ON = (
    "on",
    "an",
    "ein",
    "turn on",
    "switch on",
    "put on",
    "schalte ein",
    "schalt ein",
    "schalte an",
    "mach an",
    "mache an",
)
_OFF = (
    "off",
    "aus",
    "turn off",
    "switch off",
    "put off",
    "schalte aus",
    "schalt aus",
    "schalte ab",
    "mach aus",
    "mache aus",
)
_VERBS = {**dict.fromkeys(_ON, "on"), **dict.fromkeys(_OFF, "off")}
_VERBS |= dict.fromkeys(("打开", "开", "开启"), "on") | dict.fromkeys(("关", "关掉", "关闭", "关上"), "off")
_VERBS |= dict.fromkeys(("pause", "pausiere", "暂停"), "pause")
_VERBS |= dict.fromkeys(("resume", "unpause", "continue", "继续", "继续播放"), "resume")
_VERBS |= dict.fromkeys(("start", "run", "starte"), "start")
# "The lamp's on" says how it is.
_STATES = re.compile(r"'s (?:on|off)\b")
# What moves, and which way; "open", and a half of it, is left to the model.
_MOVES = re.compile(r"\w+(?: (?:ab|auf|zu))?")
_DOORS = frozenset(
    ["door", "doors", "tür", "türen", "门", "gate", "gates", "tor", "tore", "garagentor", "车库门"]
)
_DOOR_CLASSES = frozenset(("door", "garage", "gate"))
_BLIND_CLASSES = frozenset((None, "awning", "blind", "curtain", "shade", "shutter"))
# To a value: "dim the lamp to 30 percent".
_SET = re.compile(
    r"(?:set|dim|turn|put|bring|change|stelle?|setze?|dimme?) (?:down )?(?:to|auf) (?P<value>\d+(?:[.,]\d+)?)"
    r"(?: (?:percent|prozent|degrees|degree|grad|%|c|f|celsius|fahrenheit))*"
)
# What an intent does to a domain; what moves goes by `direction`.
_SWITCHED = frozenset(("light", "switch", "fan", "media_player", "climate", "humidifier", "input_boolean"))
_INTENTS: Mapping[str, Mapping[str, str]] = {
    "on": dict.fromkeys(_SWITCHED, "HassTurnOn"),
    "off": dict.fromkeys(_SWITCHED, "HassTurnOff"),
    "pause": {"media_player": "HassMediaPause"},
    "resume": {"media_player": "HassMediaUnpause"},
    "start": {"vacuum": "HassVacuumStart", "lawn_mower": "HassLawnMowerStartMowing"},
    "set": {
        "light": "HassLightSet",
        "climate": "HassClimateSetTemperature",
        "fan": "HassFanSetSpeed",
        "humidifier": "HassHumidifierSetpoint",
    },
}
_CHINESE = re.compile("[请把的了吧呀一下麻烦帮我 ]+")
_CHINESE_KINDS = re.compile(
    "|".join(sorted((word for word in KINDS if HAN.search(word)), key=len, reverse=True))
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a command is for.

    Attributes:
        intent: What does it.
        thing: The one thing that it is for, where it names one.
        whole: Whether that is all that it says; else it gives a value.
        area: The name of its area, where the home has others of its name.
    """

    intent: str
    thing: Thing | None
    whole: bool
    area: str | None = None


def chosen(said: str, home: Home) -> Chosen | None:
    """Return what a command is for; None where its words leave that open.

    Args:
        said: What was said.
        home: What is exposed to assistants.
    """
    if len(said) > _MOST or parts(said) != 1 or NOT.search(said):
        return None
    words = plain(said)
    if _STATES.search(words):
        return None
    found = mentions(words, home)
    named = [mention for mention in found if mention.things]
    if len(named) > 1 or len(found) - len(named) > 1:
        return None
    left = COURTESY.sub("", replaced(words, [(mention, " ") for mention in found]))
    things = [thing for mention in named for thing in mention.things]
    if not named:
        # A name that is a word for its kind, too, is no mention.
        left, things = _named(left, home)
    rest, sorts = _taken_apart(left)
    places = [mention.place for mention in found if mention.place]
    domains = _common(KINDS[sort] for sort in sorts)
    if things:
        things = _fitting(things, places, sorts)
        domains = frozenset(each.domain for each in things)
    elif sorts and places:
        # The one of its sort there, whatever it is called.
        inside = _fitting(home.things, places, sorts)
        things = inside if len(inside) == 1 else []
        domains = frozenset(each.domain for each in inside)
    if len(domains) != 1:
        return None
    [domain] = domains
    verb = "set" if _SET.fullmatch(rest) else _VERBS.get(rest, "")
    intent = _INTENTS.get(verb, {}).get(domain)
    intent = intent or (intent_of(said, domain) if _MOVES.fullmatch(rest) else None)
    thing = things[0] if len(things) == 1 else None
    # Which lock to open is asked where that is not said.
    if intent is None or (thing is None and (domain, intent) == ("lock", "HassTurnOff")):
        return None
    area = None if thing is None else _area_of(thing, home)
    return Chosen(intent, thing, whole=thing is not None and verb != "set", area=area)


def _area_of(thing: Thing, home: Home) -> str | None:
    """Return the name of a thing's area, where other things are called as it is."""
    name = thing.name.casefold()
    same = [each for each in home.things if name in map(str.casefold, each.names)]
    area = home.area(thing.area_id)
    return area.name if area and len(same) > 1 else None


def _named(left: str, home: Home) -> tuple[str, list[Thing]]:
    """Return the words without the longest name of a thing that they end in, and the things of that name."""
    words = left.split()
    for start in range(len(words)):
        name = " ".join(words[start:])
        if things := [thing for thing in home.things if name in map(str.casefold, thing.names)]:
            return " ".join(words[:start]), things
    return left, []


def _fitting(things: Iterable[Thing], places: Sequence[Place], sorts: Sequence[str]) -> list[Thing]:
    """Return what of a name is where somebody said, and what they said that it is."""
    return [
        thing
        for thing in things
        if thing.domain not in READ_ONLY
        and all(thing.area_id in place.ids for place in places)
        and all(_is_sort(thing, sort) for sort in sorts)
    ]


def _is_sort(thing: Thing, sort: str) -> bool:
    if thing.domain not in KINDS[sort]:
        return False
    # Home Assistant has doors, windows and blinds in one domain.
    if thing.domain != "cover":
        return True
    return thing.device_class in (_DOOR_CLASSES if sort in _DOORS else _BLIND_CLASSES)


def _taken_apart(left: str) -> tuple[str, list[str]]:
    """Return what is left without words that say no more, and its words for sorts of things."""
    if HAN.search(left):
        return _CHINESE.sub("", _CHINESE_KINDS.sub("", left)), _CHINESE_KINDS.findall(left)
    words = [word for word in _WORDS.findall(left) if word not in _MORE_NEEDLESS]
    verb = words[:1] if words[:1] and words[0] in _ALSO_KINDS else []
    others = words[len(verb) :]
    rest = " ".join([*verb, *(word for word in others if word not in KINDS)])
    return rest, [word for word in others if word in KINDS]


def _common(kinds: Iterable[frozenset[str]]) -> frozenset[str]:
    sets = list(kinds)
    return frozenset.intersection(*sets) if sets else frozenset()
