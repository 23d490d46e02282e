"""What boxes, their broker and the crowd take of the processors, and how many messages pass between them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Self

import psutil

from edgeassist.broker import Broker
from edgeassist.protocol.packets import Inbound, Subscription
from tests.conftest import options_for
from tests.patience import PATIENCE_S

# Mosquitto tells its counts so often, if it is configured with this.
COUNTING = "sys_interval 1"
_COUNTS = "$SYS/broker/publish"


@dataclass(frozen=True, slots=True)
class Spent:
    """From a start to an end, or until now.

    Attributes:
        daemons: Processor time of all daemons, in seconds.
        engines: Of all engines.
        broker: Of the broker.
        crowd: Of this process.
        switches: How often daemons gave up a processor by themselves, which is nearly how often they woke up.
        published: How many messages clients and boxes published.
        delivered: How many the broker delivered.
        published_bytes: Of what was published, with its topics.
        delivered_bytes: Of what was delivered.
    """

    daemons: float = 0.0
    engines: float = 0.0
    broker: float = 0.0
    crowd: float = 0.0
    switches: float = 0.0
    published: float = 0.0
    delivered: float = 0.0
    published_bytes: float = 0.0
    delivered_bytes: float = 0.0

    def __sub__(self, other: Spent) -> Spent:
        """Return what was spent since that."""
        return Spent(*(getattr(self, each.name) - getattr(other, each.name) for each in fields(Spent)))

    def __truediv__(self, number: float) -> Spent:
        """Return the share of one of so many."""
        return Spent(*(getattr(self, each.name) / number for each in fields(Spent)))


class Meter:
    """An async context manager: counts inside its block.

    Args:
        port: The broker's, which is configured with `COUNTING`.
        broker: Its process id.
        daemons: Those of the boxes.
    """

    def __init__(self, port: int, broker: int, daemons: Iterable[int]) -> None:
        self._broker = psutil.Process(broker)
        self._daemons = [psutil.Process(pid) for pid in daemons]
        self._engines = [child for each in self._daemons for child in each.children(recursive=True)]
        self._counts: dict[str, int] = {}
        self._news = asyncio.Event()
        self._up = asyncio.Event()
        self._link = Broker(options_for(port), on_up=self._up.set)
        self._link.subscribe(Subscription(f"{_COUNTS}/#", qos=0), self._hear)

    async def __aenter__(self) -> Self:
        self._link.start()
        async with asyncio.timeout(PATIENCE_S):
            await self._up.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._link.stop()

    async def read(self) -> Spent:
        """Return what was spent until now; it waits for the broker's next count."""
        self._news.clear()
        with suppress(TimeoutError):  # one that counts nothing more says nothing more
            async with asyncio.timeout(2):
                await self._news.wait()
        await asyncio.sleep(0.1)
        counts = self._counts
        return Spent(
            _seconds(self._daemons),
            _seconds(self._engines),
            _seconds([self._broker]),
            _seconds([psutil.Process(os.getpid())]),
            sum(each.num_ctx_switches().voluntary for each in self._daemons),
            counts.get("messages/received", 0),
            counts.get("messages/sent", 0),
            counts.get("bytes/received", 0),
            counts.get("bytes/sent", 0),
        )

    def _hear(self, message: Inbound) -> None:
        self._counts[message.topic.removeprefix(f"{_COUNTS}/")] = int(message.payload)
        self._news.set()


def _seconds(processes: Iterable[psutil.Process]) -> float:
    times = [each.cpu_times() for each in processes]
    return sum(each.user + each.system for each in times)
