"""Splits phrasings, rooms, numbers and layouts into training and held-out ones."""

from __future__ import annotations

import hashlib
from enum import StrEnum


class Part(StrEnum):
    """The parts of a dialogue that can be held out."""

    PHRASING = "phrasing"
    ROOM = "room"
    VALUE = "value"
    LAYOUT = "layout"


class Split(StrEnum):
    """A set of dialogues, named after its held-out parts."""

    TRAIN = "train"
    SEEN = "seen"
    PHRASINGS = "phrasings"
    ROOMS = "rooms"
    VALUES = "values"
    LAYOUTS = "layouts"
    ALL = "all"

    def holds_out(self, part: Part) -> bool:
        """Return True if this part of the split's dialogues is held out from training."""
        return part in _NEW[self]


# Percent. More of the phrasings, because each group has only a few.
_HELD_OUT = {Part.PHRASING: 20, Part.ROOM: 15, Part.VALUE: 15, Part.LAYOUT: 20}
_NEW: dict[Split, frozenset[Part]] = {
    Split.TRAIN: frozenset(),
    Split.SEEN: frozenset(),
    Split.PHRASINGS: frozenset({Part.PHRASING}),
    Split.ROOMS: frozenset({Part.ROOM}),
    Split.VALUES: frozenset({Part.VALUE}),
    Split.LAYOUTS: frozenset({Part.LAYOUT}),
    # A layout would be a fourth: what was measured before lists had layouts stays comparable.
    Split.ALL: frozenset({Part.PHRASING, Part.ROOM, Part.VALUE}),
}


def is_held_out(part: Part, text: str) -> bool:
    """Return True if a phrasing, room name, number or layout is held out from training."""
    digest = hashlib.sha256(f"{part}:{text}".encode()).digest()
    return int.from_bytes(digest[:4]) % 100 < _HELD_OUT[part]
