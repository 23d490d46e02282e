"""Puts a home's own names where a model has written them otherwise. Imports nothing of Home Assistant.

Home Assistant looks for names as they are written, and answers that there is no such device. Small models
write `living_room_light`, `light.living_room` or "the Living Room light", and call again and again. Nothing
is guessed. What is put in is the same but for case, what stands between the words, and an article in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_BETWEEN = re.compile(r"[\W_]+")
_ARTICLE = re.compile(r"^(?:the|my|der|die|das|mein|meine) (?=.)")


class Spelling:
    """The names of what is exposed to assistants.

    Args:
        things: The names and aliases of entities, by their id.
        areas: Names and aliases.
        floors: Names and aliases.
    """

    def __init__(
        self, things: Mapping[str, Iterable[str]], areas: Iterable[str], floors: Iterable[str]
    ) -> None:
        names = {entity: list(each) for entity, each in things.items()}
        self._things = _Names(name for each in names.values() for name in each)
        for entity, each in names.items():
            domain, _, own = entity.partition(".")
            for written in (own, f"{domain} {own}"):
                self._things.also(written, each[0])
        self._areas, self._floors = _Names(areas), _Names(floors)

    def mended(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return a call's arguments with the home's names; those that are no name, area or floor stay.

        A floor that the home has not is left out, and so is such an area where the thing is found without it.
        """
        mended = dict(arguments)
        found = self._things.put(mended, "name")
        if not self._areas.put(mended, "area") and found:
            mended.pop("area", None)
        if not self._floors.put(mended, "floor"):
            mended.pop("floor", None)
        return mended


class _Names:
    def __init__(self, names: Iterable[str]) -> None:
        known = list(names)
        self._exact = {name.casefold() for name in known}
        self._by_key = {_key(name): name for name in reversed(known)}

    def also(self, written: str, name: str) -> None:
        """Know something else that is written for a name, where it is nobody's own."""
        self._by_key.setdefault(_key(written), name)

    def put(self, arguments: dict[str, Any], argument: str) -> bool:
        """Put in the name that is meant, and return whether there is one."""
        written = arguments.get(argument)
        if not isinstance(written, str):
            return False
        if written.strip().casefold() in self._exact:
            return True
        name = self._by_key.get(_key(written))
        if name is not None:
            arguments[argument] = name
        return name is not None


def _key(written: str) -> str:
    return _ARTICLE.sub("", _BETWEEN.sub(" ", written.casefold()).strip())
