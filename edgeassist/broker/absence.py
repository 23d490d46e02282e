"""For how long this machine has been away from its broker, its own sleep included."""

from __future__ import annotations

import time
from collections.abc import Callable

# Linux's CLOCK_MONOTONIC stands still while the machine is suspended.
_PASSED = getattr(time, "CLOCK_BOOTTIME", None)


def passed_s() -> float:
    """Return seconds of a clock that goes on while the machine is suspended, where there is one."""
    return time.monotonic() if _PASSED is None else time.clock_gettime(_PASSED)


class Absence:
    """Knows since when there is no connection.

    A connection that breaks during a sleep is found broken after it. So what was slept since the broker was
    heard last counts as time without.

    Args:
        away_s: How long ago an earlier run was connected, at most; infinity where nobody knows.
        passed: Seconds of a clock that goes on while the machine is suspended.
        awake: Seconds of one that stands still meanwhile.
    """

    def __init__(
        self,
        away_s: float,
        *,
        passed: Callable[[], float] = passed_s,
        awake: Callable[[], float] = time.monotonic,
    ) -> None:
        self._passed = passed
        self._awake = awake
        self._left_at = passed() - away_s
        self._slept_s = self._slept()

    def heard(self) -> None:
        """Note that something came from the broker."""
        self._slept_s = self._slept()

    def ended(self) -> None:
        """Note that a connection has ended, or was found to have."""
        self._left_at = self._passed() - max(0.0, self._slept() - self._slept_s)

    @property
    def away_s(self) -> float:
        """For how long there has been no connection, if there is none."""
        return self._passed() - self._left_at

    def _slept(self) -> float:
        return self._passed() - self._awake()
