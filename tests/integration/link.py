"""A connection that records what it hears, and a TCP link that a test can cut."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable
from typing import Any, Self

from edgeassist.broker import Broker
from edgeassist.broker.absence import passed_s
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.sandbox import HOST
from tests.conftest import options_for
from tests.patience import PATIENCE_S


async def until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


class Link:
    """A `Broker` whose messages and reasons are kept; connected inside its `async with`."""

    def __init__(
        self,
        port: int,
        filters: Iterable[str] = ("t/#",),
        *,
        wait: bool = True,
        qos: int = 1,
        on_message: Callable[[Inbound], None] | None = None,
        away_s: float = math.inf,
        passed: Callable[[], float] = passed_s,
        **options: Any,
    ) -> None:
        self.heard: list[Inbound] = []
        self.reasons: list[str] = []
        self.ups = 0
        self._wait = wait
        self.broker = Broker(
            options_for(port, **options),
            on_up=self._up,
            on_down=self.reasons.append,
            away_s=away_s,
            passed=passed,
        )
        for each in filters:
            self.broker.subscribe(Subscription(each, qos=qos), on_message or self.heard.append)

    async def __aenter__(self) -> Self:
        self.broker.start()
        if self._wait:
            await until(lambda: self.ups)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.stop()

    def _up(self) -> None:
        self.ups += 1

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.heard]

    @property
    def reason(self) -> str:
        return self.reasons[0]

    def say(self, topic: str, payload: bytes = b"", **options: Any) -> bool:
        return self.broker.publish(Outbound(topic, payload, **options))

    async def hears(self, count: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until `count` messages came."""
        await until(lambda: len(self.heard) >= count, timeout_s)

    async def fails(self, timeout_s: float = PATIENCE_S) -> str:
        """Wait for the first reason why there is no connection."""
        await until(lambda: self.reasons, timeout_s)
        return self.reason


class Cable:
    """A TCP link to a local port, at a port of its own. Cut, it resets every connection, new ones too."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._cut = False
        self._ends: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Cable:
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()
        await until(lambda: not self._ends)

    def cut(self) -> None:
        self._cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        self._cut = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection(HOST, self._target)
        ends = {writer, there_writer}
        self._ends |= ends
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        self._ends -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
