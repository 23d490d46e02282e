"""A fleet: boxes as processes at one broker, and clients that count what becomes of what they ask."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgeassist.broker import Broker
from edgeassist.protocol.fleet import BoxCondition, BoxState, parse_box
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import FleetTopics, fleet_topics
from edgeassist.sandbox import PrivateBroker
from tests.conftest import environ_of, options_for
from tests.patience import PATIENCE_S
from tests.preloaded import PrivateDaemon

TOPICS: FleetTopics = fleet_topics("edgeassist", "home")


class Watcher:
    """A client that hears everything of the fleet, and asks.

    Attributes:
        boxes: What each box said last.
        events: All events of answers, by the request's id.
    """

    def __init__(self, port: int, root: str = TOPICS.root, **options: Any) -> None:
        self._up = asyncio.Event()
        self._news = asyncio.Event()
        self.boxes: dict[str, BoxState] = {}
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.handed: list[Inbound] = []
        self.responses: list[dict[str, Any]] = []
        self._broker = Broker(options_for(port, queue=20_000, **options), on_up=self._up.set)
        for topic_filter, hear in (
            (TOPICS.box("+"), self._hear_box),
            (TOPICS.hand("+"), self._hear_handed),
            (f"{root}/reply/#", self._hear_event),
            (f"{root}/response/#", self._hear_response),
            ("reply/#", self._hear_event),
        ):
            self._broker.subscribe(Subscription(topic_filter, qos=1), hear)

    async def __aenter__(self) -> Self:
        self._broker.start()
        async with asyncio.timeout(PATIENCE_S):
            await self._up.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._broker.stop()

    def _hear_box(self, message: Inbound) -> None:
        state = parse_box(message.payload)
        if state is not None:
            self.boxes[state.device] = state
        self._news.set()

    def _hear_handed(self, message: Inbound) -> None:
        self.handed.append(message)
        self._news.set()

    def _hear_event(self, message: Inbound) -> None:
        event = json.loads(message.payload) if message.payload.startswith(b"{") else {}
        if "status" in event:  # a command's, where it wanted it
            self._hear_response(message)
        elif event:
            self.events[event["id"]].append({**event, "topic": message.topic})
        self._news.set()

    def _hear_response(self, message: Inbound) -> None:
        self.responses.append({**json.loads(message.payload), "topic": message.topic})
        self._news.set()

    def say(self, topic: str, payload: bytes | str, qos: int = 1, **options: Any) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        self._broker.publish(Outbound(topic, data, qos, **options))

    def ask(self, name: str, prompt: str = "hello", client: str | None = None, **fields: Any) -> str:
        """Publish a prompt to the fleet, and return its id."""
        self.say(TOPICS.prompt(client), json.dumps({"id": name, "prompt": prompt, **fields}))
        return name

    async def until(self, holds: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
        """Wait until something holds, and return what it is."""
        async with asyncio.timeout(timeout_s):
            while not (found := holds()):
                self._news.clear()
                await self._news.wait()
        return found

    def ends(self, name: str) -> list[dict[str, Any]]:
        """Return the terminal events of a request."""
        return [event for event in self.events[name] if event["type"] in {"done", "error"}]

    def first(self, name: str, kind: str) -> dict[str, Any] | None:
        """Return a request's first event of that type."""
        return next((event for event in self.events[name] if event["type"] == kind), None)

    async def end(self, name: str) -> dict[str, Any]:
        """Wait for a request's end, and return it."""
        return dict((await self.until(lambda: self.ends(name)))[0])

    async def all_ends(self, names: list[str]) -> list[dict[str, Any]]:
        """Wait until all have ended; return their first ends."""
        await self.until(lambda: all(self.ends(name) for name in names))
        return [self.ends(name)[0] for name in names]

    async def online(self, *devices: str) -> None:
        """Wait until these boxes take requests, and know of each other."""
        await self.is_(BoxCondition.ONLINE, *devices)

    async def is_(self, condition: BoxCondition, *devices: str) -> None:
        """Wait until boxes say so of themselves."""
        await self.until(
            lambda: all(each in self.boxes and self.boxes[each].state is condition for each in devices)
        )


def spread(ends: list[dict[str, Any]]) -> Counter[str]:
    """Return how many requests each box has answered."""
    return Counter(end["device"] for end in ends)


class FleetHouse:
    """A broker, and boxes that come and go.

    Args:
        folder: For logs.
        broker: Settings of the broker.
        settings: Of all boxes, as for `environ_of`.
    """

    def __init__(
        self, folder: Path, *, broker: Sequence[str] = ("allow_anonymous true",), **settings: Any
    ) -> None:
        self._folder = folder
        self._settings = {"fleet__group": "home", "fleet__adopt_s": 1, "engine__slots": 2, **settings}
        self._stack = ExitStack()
        self.broker = PrivateBroker(folder, broker)
        self.boxes: dict[str, PrivateDaemon] = {}

    def __enter__(self) -> Self:
        self._stack.enter_context(self.broker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def box(self, name: str, **settings: Any) -> PrivateDaemon:
        """Start a box, or start it again."""
        if name not in self.boxes:
            folder = self._folder / name
            folder.mkdir()
            environ = environ_of(self.broker.port, device__name=name, **{**self._settings, **settings})
            self.boxes[name] = self._stack.enter_context(PrivateDaemon(folder, environ))
        else:
            self.boxes[name].start()
        return self.boxes[name]

    async def watcher(self, stack: AsyncExitStack, **options: Any) -> Watcher:
        """Return a connected client."""
        return await stack.enter_async_context(Watcher(self.broker.port, **options))

    def logs(self) -> Iterator[str]:
        """Yield what each box logged."""
        for name, daemon in self.boxes.items():
            yield f"--- {name}\n{daemon.log.read_text()}"
