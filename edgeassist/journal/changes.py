"""What is written to the journal: plain values."""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.journal.stamps import Stamp
from edgeassist.serving.journal import Entry


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request was accepted."""

    number: int
    entry: Entry
    at: Stamp

    @property
    def size(self) -> int:
        """Its bytes, roughly."""
        return len(self.entry.origin) + len(self.entry.key.caller) + len(self.entry.key.name)


@dataclass(frozen=True, slots=True)
class Began:
    """Text of its answer goes out; nothing waits for this where it is marked (`marks`)."""

    number: int
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended; the end is kept for repeats of it, or only until it is delivered."""

    number: int
    end: bytes
    at: Stamp
    replayed: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    """Whoever asked has the end."""

    number: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Nothing more is to be known of it."""

    number: int


Change = Accepted | Began | Ended | Delivered | Forgotten
