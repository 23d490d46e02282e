"""Unloads the model while nobody needs it, and loads it again for the next who asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from edgeassist.serving.requests import Requests
from edgeassist.supervision.supervisor import Phase


class Engine(Protocol):
    """What is needed of the engine's supervisor."""

    @property
    def phase(self) -> Phase:
        """Where the engine is in its life."""
        ...

    async def park(self, why: str, *, sleeping: bool = False) -> None:
        """End the engine, and start none until `resume`."""
        ...

    def resume(self) -> None:
        """Start an engine again."""
        ...


class Sleeping:
    """Decides when.

    Args:
        idle_s: After how many seconds without a request; 0: never. A reload replaces it.
        supervisor: Has the engine.
        requests: What waits, and what runs.
        switches: Whether another model is on its way.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        idle_s: float,
        *,
        supervisor: Engine,
        requests: Requests,
        switches: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle_s = idle_s
        self._supervisor = supervisor
        self._requests = requests
        self._switches = switches
        self._clock = clock
        self._idle_since = clock()
        self._was_busy = False
        self._changed = asyncio.Event()

    def apply(self, idle_s: float) -> None:
        """Go by another time from now on."""
        self._idle_s = idle_s
        self.look()
        self._changed.set()

    def look(self) -> None:
        """Note that requests or the engine have changed: what waits wakes the model."""
        busy = bool(self._requests.queued or self._requests.running)
        if busy or self._was_busy:
            self._idle_since = self._clock()
        self._was_busy = busy
        wanted = busy or self._idle_s == 0
        if self._supervisor.phase is Phase.SLEEPING and wanted and not self._switches():
            self._supervisor.resume()
        self._changed.set()

    def engine_changed(self, phase: Phase) -> None:
        """Note that the engine is in another phase: a model that was just loaded counts as used."""
        if phase is Phase.READY:
            self._idle_since = self._clock()
        self.look()

    async def run(self) -> None:
        """Unload the model whenever it is idle for long enough, for ever."""
        while True:
            self._changed.clear()
            left = self._left_s()
            if left is not None and left <= 0:
                await self._supervisor.park(
                    f"nobody has asked for {self._idle_s:g} s, and the model sleeps", sleeping=True
                )
                # Whoever came meanwhile.
                self.look()
                continue
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _left_s(self) -> float | None:
        """Return in how many seconds it is to sleep; None where it is not."""
        busy = self._requests.queued or self._requests.running or self._switches()
        if self._idle_s == 0 or busy or self._supervisor.phase is not Phase.READY:
            return None
        return self._idle_since + self._idle_s - self._clock()
