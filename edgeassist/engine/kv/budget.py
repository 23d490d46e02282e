"""How many bytes of states are written in a day: memory cards wear out. Counted over restarts, in a file."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

_DAY_S = 86_400
# Boards without a clock of their own begin in the past, for some moments: that is no new day. A count of a
# day that is so far ahead was made by a clock that was wrong.
_AHEAD_DAYS = 7


class _Spent(msgspec.Struct):
    day: int
    bytes: int


class Budget:
    """What may be written in one day, in UTC.

    Args:
        path: Where it is counted; not read before it matters.
        most_bytes: The most for one day.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes

    @property
    def most_bytes(self) -> int:
        """The most for one day."""
        return self._most_bytes

    def allows(self, size: int, now: float) -> bool:
        """Whether so many bytes may be written; `now` is in seconds since the epoch."""
        return size <= self._most_bytes and self._spent(now).bytes + size <= self._most_bytes

    def spend(self, size: int, now: float) -> bool:
        """Count so many bytes that are about to be written; False: they may not be.

        Raises:
            OSError: It can't be counted.
        """
        spent = self._spent(now)
        if spent.bytes + size > self._most_bytes:
            return False
        part = self._path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(_Spent(spent.day, spent.bytes + size)))
        part.replace(self._path)
        return True

    def _spent(self, now: float) -> _Spent:
        today = int(now // _DAY_S)
        try:
            spent = msgspec.json.decode(self._path.read_bytes(), type=_Spent)
        except (OSError, ValueError, RecursionError):  # among them UnicodeDecodeError
            return _Spent(today, 0)
        same_day = today <= spent.day <= today + _AHEAD_DAYS
        return spent if same_day and spent.bytes >= 0 else _Spent(today, 0)
