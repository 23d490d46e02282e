"""The daemon's end of the socket pair to the engine: lines in, lines out.

An `asyncio.Protocol`, not a stream: every token passes here while the model computes on all cores, so each
microsecond spent here slows it down.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import cast

# Of one line. The longest event is a delta that holds back a stop text, which can be as long as a prompt's
# payload allows.
MAX_LINE_BYTES = 1 << 25
_READ_BYTES = 1 << 16


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

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if error is not None:
            self._take_last_words()
        self._end(None)

    def _take_last_words(self) -> None:
        """Take what a dying engine has said: a transport that can not write any more does not read either."""
        assert self._transport is not None  # noqa: S101 - what was lost had been made
        pipe = self._transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError):
            while data := os.read(pipe, _READ_BYTES):
                self.data_received(data)

    def _end(self, problem: str | None) -> None:
        if not self.ended.done():
            self.ended.set_result(problem)
