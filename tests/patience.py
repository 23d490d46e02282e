"""Time, for tests that share a machine with other programs, which may stop them for seconds at any moment."""

from __future__ import annotations

import asyncio
import time
from typing import Self

# How long to wait for what must come. Only a test that fails waits so long.
PATIENCE_S = 90.0
# While a process is stopped for longer than this, a stopwatch stands still.
_TICK_S = 0.02


class Stopwatch:
    """Counts seconds inside its `async with`, but for those in which this event loop got no processor.

    A limit on it holds on a busy machine, and still fails for whoever waits for a clock that runs too long.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._count(), name="stopwatch")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _count(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S / 2)
            now = time.monotonic()
            self.seconds += min(now - before, _TICK_S)
            before = now
