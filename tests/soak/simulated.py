"""An event loop whose time passes at once when nobody has anything to do until later."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

# How long something from outside may take, such as another thread, where nothing is due at all.
_OUTSIDE_S = 5.0


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Its `time()` begins at 0 and jumps to what is due next; code itself takes no time.

    What rooms take as a clock is its `time`. Sockets and threads are not waited for while something is due,
    so there is no place for them in what runs here.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._waiting = _Waiting(self)
        super().__init__(self._waiting)

    def time(self) -> float:
        """Return seconds since the loop was made."""
        return self._now

    @property
    def planned(self) -> int:
        """How many calls are planned for later, cancelled ones that are still there among them."""
        return len(self._scheduled)  # type: ignore[attr-defined] # asyncio tells nobody else

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Waiting(selectors.DefaultSelector):
    """Waits by letting time pass."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            if not (ready := super().select(_OUTSIDE_S)):
                raise RuntimeError("everybody waits for ever")
            return ready
        # Not less than what such a large number can tell.
        self._loop.pass_time(max(timeout, 1e-6))
        return []
