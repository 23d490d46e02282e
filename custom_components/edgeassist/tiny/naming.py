"""Finds the names of a home in what somebody said. Imports nothing of Home Assistant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from . import numerals, words
from .home import Home, Place, Thing
from .words import HAN

# As many names are prepared once; they are few, and asked for with every sentence.
_NAMES = 32_768
_SIMPLIFIED = str.maketrans(
    "開關燈廚臥廳間窗簾門鎖調亮溫濕電視聲響樂風轉機掃淨氣陽臺檯單車庫書蘭樓層頂園後嗎兩個這裡讓將變紅綠藍黃紫顏還設為點麼幾"
    "爐買內過請幫緊熱涼動啟閉臨衛餐廁",
    "开关灯厨卧厅间窗帘门锁调亮温湿电视声响乐风转机扫净气阳台台单车库书兰楼层顶园后吗两个这里让将变红绿蓝黄紫颜还设为点么几"
    "炉买内过请帮紧热凉动启闭临卫餐厕",
)
_JOINED = re.compile(r"\s*(?:,|，|、|&|\band\b|和|跟|与|以及|及)\s*(?:(?:in )?the\s)?\s*")


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a text: where it stands, and the place or the things of that name."""

    start: int
    end: int
    place: Place | None
    things: tuple[Thing, ...]


def plain(text: str) -> str:
    """Return what was said in one case and script, with its numbers in figures."""
    said = " ".join(text.replace("’", "'").split()).casefold().strip(" .!?。！？,，;；")
    if HAN.search(said):
        said = said.translate(_SIMPLIFIED)
        said = re.sub(r"(?<=[\u3400-\u9fff]) +(?=[\u3400-\u9fff])", "", said)
    return numerals.in_figures(said)


def mentions(said: str, home: Home) -> list[Mention]:
    """Return the names that were said, in their order, with "the kitchen and the den" as one place.

    Args:
        said: What was said, made plain.
        home: Whose names to look for.
    """
    return _joined(said, _chosen(_all(said, home)))


def replaced(said: str, swaps: Iterable[tuple[Mention, str]]) -> str:
    """Return a text with other words for the names in it."""
    for mention, word in sorted(swaps, key=lambda swap: -swap[0].start):
        said = said[: mention.start] + word + said[mention.end :]
    return said


@lru_cache(maxsize=_NAMES)
def _spellings(name: str) -> frozenset[str]:
    """Return how a name may be said or written: "mum's den", "mums den"."""
    said = plain(name).replace("_", " ")
    return frozenset((said, said.replace("'", ""), said.replace("-", " "))) - {""}


def _all(said: str, home: Home) -> list[Mention]:
    """Return every name that stands in a text; a thing's rather than a place's of the same name."""
    places: dict[str, Place] = {}
    for name, place in home.places():
        for spelling in _spellings(name):
            places.setdefault(spelling, place)
    begins = tuple(f"{place} " for place in places)
    things: dict[str, dict[str, Thing]] = {}
    for name, thing in home.called():
        for spelling in _spellings(name):
            # What is not in the text, not even without its last letter, needs no closer look.
            if spelling[:-1] in said and not _is_plain(spelling):
                things.setdefault(spelling, {})[thing.entity_id] = thing
                # "Smart curtains" is the thing "Smart curtain", but "kitchen lights" are all that are there.
                if spelling.isascii() and not _ends_plainly(spelling, begins):
                    other = spelling[:-1] if spelling.endswith("s") else f"{spelling}s"
                    things.setdefault(other, {})[thing.entity_id] = thing
    return [
        Mention(start, start + len(spelling), None if spelling in things else places[spelling], named)
        for spelling in things.keys() | places.keys()
        for named in (tuple(things.get(spelling, {}).values()),)
        for start in _found(spelling, said)
    ]


def _chosen(found: list[Mention]) -> list[Mention]:
    """Return the longest where they overlap, in their order."""
    found = [mention for mention in found if not any(_cuts(mention, other) for other in found)]
    chosen: list[Mention] = []
    for mention in sorted(found, key=lambda mention: (mention.start - mention.end, mention.start)):
        if all(mention.end <= other.start or mention.start >= other.end for other in chosen):
            chosen.append(mention)
    return sorted(chosen, key=lambda mention: mention.start)


def _cuts(thing: Mention, place: Mention) -> bool:
    """Whether a thing's name begins or ends within a place's: "bedroom curtains", "master bedroom"."""
    if thing.place or not place.place:
        return False
    apart = thing.end <= place.start or place.end <= thing.start
    within = thing.start <= place.start and place.end <= thing.end
    return not apart and not within


def _ends_plainly(name: str, places: tuple[str, ...]) -> bool:
    """Whether a name is that of a place, and then of a sort of device: "kitchen light"."""
    # One test of all of them first, since few names begin with a place's.
    return name.startswith(places) and any(
        _is_plain(name[len(place) :].strip()) for place in places if name.startswith(place)
    )


@lru_cache(maxsize=_NAMES)
def _is_plain(name: str) -> bool:
    """Whether a name only says what sort of device it is, as "lamp" does."""
    return any(
        re.fullmatch(pattern, name) for device in words.DEVICES.values() for pattern in device.values()
    )


def _found(name: str, said: str) -> Iterable[int]:
    start = said.find(name) if name else -1
    while start >= 0:
        before, after = said[start - 1 : start], said[start + len(name) : start + len(name) + 1]
        whole = not (_goes_on(before, name[0]) or _goes_on(after, name[-1]))
        if whole and (len(name) > 1 or not name.isascii()):
            yield start
        start = said.find(name, start + 1)


def _goes_on(sign: str, beside: str) -> bool:
    return sign.isascii() and sign.isalnum() and beside.isascii() and beside.isalnum()


def _joined(said: str, mentions: list[Mention]) -> list[Mention]:
    """Return the mentions with "the kitchen and the den" as one place."""
    merged: list[Mention] = []
    for mention in mentions:
        last = merged[-1] if merged else None
        if last and last.place and mention.place and _JOINED.fullmatch(said[last.end : mention.start]):
            areas = tuple(dict.fromkeys((*last.place.areas, *mention.place.areas)))
            place = Place(f"{last.place.name} + {mention.place.name}", areas)
            merged[-1] = Mention(last.start, mention.end, place, ())
        else:
            merged.append(mention)
    return merged
