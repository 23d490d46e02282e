"""A TCP link in user space that delays, cuts, and falls silent.

Above TCP a packet can't be lost or doubled, so this shows what a program sees of it: a pause, a reset,
silence. `tests.campaign.packets` loses and doubles real packets, where the kernel lets it.
"""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

from edgeassist.sandbox import HOST

_PIECE = 1 << 16


class Relay:
    """Listens at a port of its own, and carries every connection to another.

    Attributes:
        port: Its own.
        delay_s: How long each piece is held back, at most; drawn for each.
        silent: Whether nothing is carried, and nothing closed: what a network without a route looks like.
    """

    def __init__(self, target: int, host: str = HOST) -> None:
        self._target = target
        self._host = host
        self._cut = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = Random(target)
        self._loud = asyncio.Event()
        self._loud.set()
        self.delay_s = 0.0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._carry, self._host, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections."""
        self.cut()
        self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def cut(self) -> None:
        """Reset all connections, new ones too, until `mend`."""
        self._cut = True
        for task in self._tasks:
            task.cancel()

    def hush(self) -> None:
        """Carry nothing, until `mend`."""
        self._loud.clear()

    def mend(self) -> None:
        """Work again; what was held back while it was silent goes on its way, as TCP would send it again."""
        self._cut = False
        self.delay_s = 0.0
        self._loud.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._cut:
            writer.transport.abort()
            return
        self._tasks.add(task)
        ends = [writer]
        try:
            there_reader, there_writer = await asyncio.open_connection(HOST, self._target)
            ends.append(there_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there_writer))
                group.create_task(self._pump(there_reader, writer))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            if self.delay_s:
                await asyncio.sleep(self._random.uniform(0, self.delay_s))
            await self._loud.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
        # The other half ends with it: nobody here half-closes.
        raise ConnectionResetError
