"""Many clients over a few connections: each asks, waits for the end, and asks again."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from edgeassist.broker import Broker
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import Topics
from tests.conftest import options_for
from tests.fleet.tally import Asked
from tests.patience import PATIENCE_S

# So long may nothing at all end before the rest counts as lost.
SILENCE_S = 60.0
_REPLIES = "reply/crowd"


class Crowd:
    """An async context manager that is connected inside its block.

    Args:
        port: The broker's.
        topics: Whom it asks.
        clients: How many ask at the same time.
        connections: How many carry them.

    Attributes:
        asked: All requests, by id.
    """

    def __init__(self, port: int, topics: Topics, *, clients: int, connections: int = 4) -> None:
        self._topics = topics
        self._clients = clients
        self._news = asyncio.Event()
        self._up = [asyncio.Event() for _ in range(connections)]
        self._open = 0
        self._prompts: Iterator[tuple[str, str]] = iter(())
        self.asked: dict[str, Asked] = {}
        self._brokers = [
            Broker(options_for(port, queue=10_000, protocol=version), on_up=up.set)
            for up, version in zip(self._up, itertools.cycle(("5", "3.1.1")), strict=False)
        ]
        for number, broker in enumerate(self._brokers):
            broker.subscribe(Subscription(f"{_REPLIES}/{number}/+", qos=1), self._hear)

    async def __aenter__(self) -> Self:
        for broker in self._brokers:
            broker.start()
        async with asyncio.timeout(PATIENCE_S):
            for up in self._up:
                await up.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for broker in self._brokers:
            await broker.stop()

    async def ask(self, prompts: Iterator[tuple[str, str]]) -> list[Asked]:
        """Have all prompts answered, each given with the text that has to come; return what became of them.

        It ends when all have ended, or when none has for `SILENCE_S`.
        """
        self._prompts = prompts
        before = len(self.asked)
        for client in range(self._clients):
            self._next(client)
        while self._open:
            self._news.clear()
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._news.wait()
            except TimeoutError:
                break
        return list(self.asked.values())[before:]

    def _next(self, client: int) -> None:
        prompt, text = next(self._prompts, (None, ""))
        if prompt is None:
            return
        number = client % len(self._brokers)
        key = f"{client}-{len(self.asked)}"
        self.asked[key] = Asked(text, time.monotonic())
        self._open += 1
        request = {"id": key, "prompt": prompt, "stream": False, "reply_to": f"{_REPLIES}/{number}/{client}"}
        self._brokers[number].publish(
            Outbound(self._topics.prompt(f"c{client}"), json.dumps(request).encode(), qos=1)
        )

    def _hear(self, message: Inbound) -> None:
        event = json.loads(message.payload)
        if self.asked[event["id"]].hear(event, time.monotonic()):
            self._open -= 1
            self._next(int(message.topic.rpartition("/")[2]))
            self._news.set()
