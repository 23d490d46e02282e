"""Finds the one thing that a model means by its place and kind. Imports nothing of Home Assistant.

Home Assistant looks for "Backyard light" among names, and finds none where the light in the area Backyard is
called otherwise; for "garage" too, where that is the area. A small model has said where and what, and calls
again and again. Nothing is guessed: where two things fit, Home Assistant has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .tiny.home import READ_ONLY, Home, Thing

_WORDS = re.compile(r"\w+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
NEEDLESS = frozenset(
    ("the", "my", "our", "in", "of", "at", "der", "die", "das", "den", "im", "in", "mein", "meine")
)
# What things are called that have no other name.
KINDS: Mapping[str, frozenset[str]] = {
    word: frozenset(domains)
    for words, domains in (
        ("light lights lamp lamps licht lichter lampe lampen 灯", ("light",)),
        ("fan fans ventilator lüfter 风扇", ("fan",)),
        ("door doors tür türen 门", ("cover", "lock")),
        ("lock locks schloss 锁 门锁", ("lock",)),
        ("gate gates tor tore garagentor 车库门", ("cover",)),
        ("blind blinds shutter shutters shade shades rollladen rollläden jalousie 百叶窗", ("cover",)),
        ("curtain curtains vorhang vorhänge 窗帘 cover covers", ("cover",)),
        ("vacuum robot staubsauger saugroboter 扫地机器人", ("vacuum",)),
        ("mower rasenmäher 割草机", ("lawn_mower",)),
        ("valve valves ventil 阀门", ("valve",)),
        ("thermostat heating heater heizung 暖气 空调", ("climate",)),
        ("tv television radio speaker speakers music player", ("media_player",)),
        ("fernseher lautsprecher musik 电视 音箱 音乐", ("media_player",)),
        ("switch socket plug outlet schalter steckdose 开关 插座", ("switch",)),
        ("humidifier luftbefeuchter 加湿器", ("humidifier",)),
    )
    for word in words.split()
}
# What must not move because somebody has named its room: only where they want something opened or locked.
_GUARDED = frozenset(("cover", "lock", "valve"))
_MOVES = re.compile(
    r"\b(?:open|clos|shut|lock|unlock|rais|lower|öffn|schließ|verschließ|sperr|aufmach|zumach|auf|zu)\w*|[开关锁]",
    re.IGNORECASE,
)
# Further words of a kind's name.
_PARTS = frozenset(("cleaner", "media", "ceiling", "garage"))


class Pointing:
    """The things of a home, by place and kind.

    Args:
        home: What is exposed to assistants.
        said: What was said.
    """

    def __init__(self, home: Home, said: str) -> None:
        self._moves = _MOVES.search(said) is not None
        self._things = [thing for thing in home.things if thing.domain not in READ_ONLY]
        self._areas = {_key(name): area.id for area in home.areas for name in (area.name, *area.aliases)}
        named: dict[str, list[Thing]] = {}
        for thing in home.things:
            for name in thing.names:
                named.setdefault(name.strip().casefold(), []).append(thing)
        self._named = named

    def mended(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return a call's arguments with the name of the one thing that fits, if one does."""
        name = arguments.get("name")
        if not isinstance(name, str) or not name.strip():
            return dict(arguments)
        if known := self._named.get(name.strip().casefold()):
            return self._told_apart(arguments, known)
        found = self._meant(_words(name), arguments)
        if found is None:
            return dict(arguments)
        alike = self._named[found.name.strip().casefold()]
        mended = self._told_apart({**arguments, "name": found.name}, [found])
        return mended if len(alike) == 1 else {**mended, "domain": [found.domain]}

    def thing(self, arguments: Mapping[str, Any]) -> Thing | None:
        """Return the one thing that mended arguments name; None where they name none or several."""
        known = self._named.get(str(arguments.get("name")).strip().casefold(), [])
        domains = _listed(arguments.get("domain"))
        fitting = [each for each in known if not domains or each.domain in domains]
        return fitting[0] if len(fitting) == 1 else None

    def _told_apart(self, arguments: Mapping[str, Any], known: list[Thing]) -> dict[str, Any]:
        """Return the arguments for the one thing of a name, without what excludes it.

        A model likes to give all classes that there are. Where a thing and its sensor have one name, the
        domain tells which is meant.
        """
        acting = self._fitting_words([thing for thing in known if thing.domain not in READ_ONLY])
        mended = dict(arguments)
        if len(acting) != 1:
            return mended
        [thing] = acting
        if thing.device_class not in _listed(mended.get("device_class")):
            mended.pop("device_class", None)
        if len(known) > 1:
            mended["domain"] = [thing.domain]
        elif thing.domain not in _listed(mended.get("domain")) and (
            self._moves or thing.domain not in _GUARDED
        ):
            mended.pop("domain", None)
        return mended

    def _meant(self, words: list[str], arguments: Mapping[str, Any]) -> Thing | None:
        area, rest = self._area(words)
        given = arguments.get("area")
        if isinstance(given, str) and (told := self._areas.get(_key(given))):
            if area is not None and area != told:
                return None
            area = told
        if area is None:
            return None
        inside = [thing for thing in self._things if thing.area_id == area]
        # "Living room smart curtain" for the one that is called "Smart Curtain" there.
        called = [thing for thing in inside if rest and " ".join(rest) in map(_key, thing.names)]
        if len(called) == 1:
            return called[0]
        kinds = [KINDS[word] for word in rest if word in KINDS]
        if any(word not in KINDS and word not in _PARTS for word in rest):
            return None
        domains = frozenset.intersection(*kinds) if kinds else _listed(arguments.get("domain"))
        fitting = [thing for thing in inside if not domains or thing.domain in domains]
        fitting = self._fitting_words(fitting)
        if len(fitting) != 1 or (fitting[0].domain in _GUARDED and not (domains or self._moves)):
            return None
        return fitting[0]

    def _fitting_words(self, things: list[Thing]) -> list[Thing]:
        """Return what can be opened or locked, of several, where that is what somebody wants."""
        moved = [thing for thing in things if thing.domain in _GUARDED] if self._moves else []
        return moved if len(things) > 1 and moved else things

    def _area(self, words: list[str]) -> tuple[str | None, list[str]]:
        """Return the area that some of the words are, and the others; the longest name counts."""
        for size in range(len(words), 0, -1):
            for start in (0, len(words) - size):
                area = self._areas.get(" ".join(words[start : start + size]))
                if area is not None:
                    return area, words[:start] + words[start + size :]
        return None, words


def _words(text: str) -> list[str]:
    words = _WORDS.findall(_CAMEL.sub(" ", text).casefold().replace("_", " "))
    return [word for word in words if word not in NEEDLESS] or words


def _key(name: str) -> str:
    return " ".join(_words(name))


def _listed(domains: object) -> frozenset[str]:
    if isinstance(domains, str):
        return frozenset((domains,))
    if isinstance(domains, Iterable):
        return frozenset(each for each in domains if isinstance(each, str) and each not in READ_ONLY)
    return frozenset()
