"""One sleeper, woken at the earliest time that anybody asked for."""

from __future__ import annotations

import asyncio


class Alarm:
    """Times are seconds of the clock that the caller goes by. For the event loop's thread."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._at: float | None = None

    def by(self, at: float) -> None:
        """See to it that the sleeper is awake at that time."""
        if self._at is None or at < self._at:
            self._wake.set()

    async def sleep(self, now: float, until: float | None) -> None:
        """Sleep until then (None: for ever), or until somebody asks for an earlier time."""
        self._wake.clear()
        self._at = until
        try:
            async with asyncio.timeout(None if until is None else until - now):
                await self._wake.wait()
        except TimeoutError:
            return
