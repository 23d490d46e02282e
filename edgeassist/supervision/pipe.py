"""The daemon's end of the socket pair to the engine: lines in, lines out.

A protocol and no stream: a token's text passes here for every chunk, while the model computes on every core
that this takes time from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

# Of a line; a piece of text holds at most a stop text, and that a prompt's payload.
MAX_LINE_BYTES = 1 << 25


class Pipe(asyncio.Protocol):
    """One engine's pipe.

    Args:
        take: Called for each line; returns what is wrong with it, if that is so.

    Attributes:
        ended: Done when the engine's end is closed (None) or a line was not as it must be (the problem).
    """

    def __init__(self, take: Callable[[bytes], str | None]) -> None:
        self._take = take
        self._rest = bytearray()
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def write(self, line: bytes) -> None:
        """Send a line; without an engine it is lost."""
        if self._transport is not None:
            self._transport.write(line)

    def close(self) -> None:
        """Hear and say no more."""
        self._end(None)
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        first, *lines = data.split(b"\n")
        self._rest += first
        for line in lines:
            if self.ended.done():
                return
            problem = self._take(bytes(self._rest))
            if problem is not None:
                self._end(problem)
            self._rest[:] = line
        if len(self._rest) > MAX_LINE_BYTES:
            self._end(f"the engine sent an event of more than {MAX_LINE_BYTES} bytes")

    def connection_lost(self, _error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._end(None)

    def _end(self, problem: str | None) -> None:
        if not self.ended.done():
            self.ended.set_result(problem)
