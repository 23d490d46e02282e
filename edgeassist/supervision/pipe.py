"""The daemon's end of the socket pair to the engine: lines in, lines out.

An `asyncio.Protocol`, not a stream: every token passes here while the model computes on all cores, so each
microsecond spent here slows it down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

# Of one line. The longest event is a delta that holds back a stop text, which can be as long as a prompt's
# payload allows.
MAX_LINE_BYTES = 1 << 25


class Pipe(asyncio.Protocol):
    """One engine's pipe.

    Args:
        take: Called for each line; returns what is wrong with it, or None.

    Attributes:
        ended: Done when the engine closed its end (None), or when a line was wrong or too long (the problem).
    """

    def __init__(self, take: Callable[[bytes], str | None]) -> None:
        self._take = take
        self._rest = bytearray()
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def write(self, line: bytes) -> None:
        """Send a line; dropped before the connection is made."""
        if self._transport is not None:
            self._transport.write(line)

    def close(self) -> None:
        """Close the connection; no further line is taken."""
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
