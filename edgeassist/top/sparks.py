"""A history in one line of a terminal. Sans-I/O."""

from __future__ import annotations

from collections.abc import Sequence

_LEVELS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float | None], *, low: float = 0.0, least: float = 1.0) -> str:
    """Return a bar for each value; a blank where there is none.

    Args:
        values: The oldest first.
        low: What the lowest bar stands for.
        least: What the highest bar stands for at least, above `low`: small changes stay small.
    """
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    span = max(least, max(known) - low)
    top = len(_LEVELS) - 1

    def bar(value: float | None) -> str:
        if value is None:
            return " "
        return _LEVELS[max(0, min(top, round((value - low) / span * top)))]

    return "".join(map(bar, values))
