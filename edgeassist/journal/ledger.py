"""Which requests are in the journal, and for which there is room. Sans-I/O; time is passed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgeassist.serving.journal import Found

# Ends that were delivered and wait for a repeat of their request: no more than are answered again.
MOST_REPLAYED = 256
# With this share in use, a journal that was full is so no more.
ROOMY = 0.9


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the journal holds.

    Attributes:
        entries: Requests.
        size: Bytes of requests and ends.
        days: For how long an end is kept that can't be delivered.
        remember_s: For how long one is kept that was.
    """

    entries: int
    size: int
    days: float
    remember_s: float


@dataclass(slots=True)
class _Line:
    size: int
    ended: float | None = None
    replayed: bool = False
    delivered: bool = False


@dataclass(slots=True)
class Ledger:
    """The requests in the journal, by number; times are seconds of one monotonic clock."""

    bounds: Bounds
    _lines: OrderedDict[int, _Line] = field(default_factory=OrderedDict)
    _size: int = 0
    _last: int = 0

    def __len__(self) -> int:
        """How many requests are in it."""
        return len(self._lines)

    def __contains__(self, number: int) -> bool:
        """Whether that request is in it."""
        return number in self._lines

    def waits(self, number: int) -> bool:
        """Whether that request is in it, and has not ended."""
        line = self._lines.get(number)
        return line is not None and line.ended is None

    @property
    def full(self) -> bool:
        """Whether there is room for no more."""
        return len(self._lines) >= self.bounds.entries or self._size >= self.bounds.size

    @property
    def roomy(self) -> bool:
        """Whether there is room for some more; one that is large may still find none."""
        bounds = self.bounds
        return len(self._lines) <= ROOMY * bounds.entries and self._size <= ROOMY * bounds.size

    def found(self, found: Found, now: float) -> None:
        """Note a request that is in it from before."""
        line = _Line(len(found.entry.origin) + len(found.end or b""))
        if found.end is not None:
            line.ended, line.replayed, line.delivered = now - found.ended_s, True, found.delivered
        self._add(found.number, line)

    def skip(self, number: int) -> None:
        """Give larger numbers than this one from now on."""
        self._last = max(self._last, number)

    def accept(self, size: int) -> int | None:
        """Take in a request of so many bytes; return its number, None where there is no room."""
        if len(self._lines) >= self.bounds.entries or self._size + size > self.bounds.size:
            return None
        number = self._last + 1
        self._add(number, _Line(size))
        return number

    def end(self, number: int, size: int, now: float, *, replayed: bool) -> None:
        """Note the end of a request, of so many bytes."""
        line = self._lines[number]
        line.size += size
        self._size += size
        line.ended, line.replayed = now, replayed

    def deliver(self, number: int) -> None:
        """Note that a request's end was delivered."""
        line = self._lines[number]
        if line.replayed and self.bounds.remember_s > 0:
            line.delivered = True
        else:
            self.forget(number)

    def forget(self, number: int) -> None:
        """Note that a request is not in it any more."""
        line = self._lines.pop(number, None)
        if line is not None:
            self._size -= line.size

    def surplus(self, now: float) -> Iterator[int]:
        """Forget, and yield, what has ended and is too old, or too much."""
        ended = [(line.ended, number) for number, line in self._lines.items() if line.ended is not None]
        delivered = sum(line.delivered for line in self._lines.values())
        full = len(self._lines) >= self.bounds.entries
        for at, number in sorted(ended):
            line = self._lines[number]
            age = now - at
            old = age >= (self.bounds.remember_s if line.delivered else self.bounds.days * 86_400)
            much = delivered > MOST_REPLAYED and line.delivered
            if old or much or full or self._size > self.bounds.size:
                delivered -= line.delivered
                self.forget(number)
                yield number
                full = False

    def _add(self, number: int, line: _Line) -> None:
        self._lines[number] = line
        self._size += line.size
        self._last = max(self._last, number)
