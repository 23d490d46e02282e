"""A short history of one figure. Sans-I/O."""

from __future__ import annotations

from collections import deque

# Twenty minutes of a figure that comes each second.
KEPT = 1200


class Series:
    """The latest values of a figure, each with the time (in seconds, of any clock) at which it came."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def add(self, at: float, value: float | None) -> None:
        """Note a value; None is none."""
        if value is not None:
            self._values.append((at, value))

    @property
    def last(self) -> float | None:
        """The newest value."""
        return self._values[-1][1] if self._values else None

    def latest(self, count: int) -> list[float]:
        """Return the newest values, at most so many, the oldest first."""
        return [value for _, value in list(self._values)[-count:]] if count > 0 else []

    def over_time(self, now: float, *, cells: int, step_s: float) -> list[float | None]:
        """Return the highest value that held in each of the last spans of time, the oldest first.

        A value holds until the next comes; before the first there is None. Spans begin at multiples of
        their length, so that what was shown does not change with `now`.

        Args:
            now: The time at which the last span ends, or somewhat later.
            cells: How many spans.
            step_s: The length of each.
        """
        first = int(now // step_s) - cells + 1
        held: float | None = None
        highest: dict[int, float] = {}
        last: dict[int, float] = {}
        for at, value in self._values:
            cell = min(int(at // step_s) - first, cells - 1)
            if cell < 0:
                held = value
            else:
                highest[cell] = max(value, highest.get(cell, value))
                last[cell] = value
        shown: list[float | None] = []
        for cell in range(cells):
            told = [each for each in (held, highest.get(cell)) if each is not None]
            shown.append(max(told) if told else None)
            held = last.get(cell, held)
        return shown
