"""What trains, and what is kept to measure with."""

from __future__ import annotations

import hashlib
from enum import StrEnum


class Part(StrEnum):
    """What can be held out of a dialogue."""

    PHRASING = "phrasing"
    ROOM = "room"
    VALUE = "value"


class Split(StrEnum):
    """A set of dialogues, named after what in it no training dialogue has."""

    TRAIN = "train"
    SEEN = "seen"
    PHRASINGS = "phrasings"
    ROOMS = "rooms"
    VALUES = "values"
    ALL = "all"

    def holds_out(self, part: Part) -> bool:
        """Whether this part of its dialogues is of those that are held out."""
        return part in _NEW[self]


# Of a hundred; of phrasings more, so that the few that a group has are measured at all.
_HELD_OUT = {Part.PHRASING: 20, Part.ROOM: 15, Part.VALUE: 15}
_NEW: dict[Split, frozenset[Part]] = {
    Split.TRAIN: frozenset(),
    Split.SEEN: frozenset(),
    Split.PHRASINGS: frozenset({Part.PHRASING}),
    Split.ROOMS: frozenset({Part.ROOM}),
    Split.VALUES: frozenset({Part.VALUE}),
    Split.ALL: frozenset(Part),
}


def is_held_out(part: Part, text: str) -> bool:
    """Whether a phrasing, a room's name or a number is kept from training."""
    digest = hashlib.sha256(f"{part}:{text}".encode()).digest()
    return int.from_bytes(digest[:4]) % 100 < _HELD_OUT[part]
