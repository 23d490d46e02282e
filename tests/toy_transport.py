"""A second transport beside MQTT, in this very process: what an HTTP door would need, and no more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from edgeassist.protocol.events import AnyEvent, Done, Failed
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.caller import Caller
from edgeassist.serving.requests import Requests
from edgeassist.serving.sink import OnSettled
from tests.patience import PATIENCE_S


@dataclass
class ToySink:
    """A `Sink` that queues events for whoever asked."""

    wants_progress: bool = True
    chunk_bytes: int = 1024
    escaped: bool = False
    event_bytes: int | None = None
    congested: bool = False
    events: asyncio.Queue[AnyEvent] = field(default_factory=asyncio.Queue)

    def send(
        self, event: AnyEvent, on_settled: OnSettled | None = None, on_heard: OnSettled | None = None
    ) -> None:
        del on_settled, on_heard  # nothing that is asked here is durable
        self.events.put_nowait(event)


class ToyTransport:
    """Asks on behalf of one caller; an answer that is given up is cancelled."""

    def __init__(self, requests: Requests, name: str = "toy/1") -> None:
        self._requests = requests
        self.caller = Caller(name)

    async def ask(self, asked: PromptRequest, sink: ToySink | None = None) -> AsyncGenerator[AnyEvent]:
        sink = ToySink() if sink is None else sink
        self._requests.submit(asked, self.caller, sink)
        try:
            while True:
                async with asyncio.timeout(PATIENCE_S):
                    event = await sink.events.get()
                yield event
                if isinstance(event, Done | Failed):
                    return
        finally:
            self._requests.cancel(asked.id, self.caller.name)

    async def answer(self, asked: PromptRequest, sink: ToySink | None = None) -> list[AnyEvent]:
        """Ask, and return all events."""
        async with contextlib.aclosing(self.ask(asked, sink)) as events:
            return [event async for event in events]
