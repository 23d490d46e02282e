"""Rooms that several files look into: a stream, a worker and requests, each with what is around it."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

import pytest
from hypothesis import settings
from msgspec.structs import replace as replace_fields
from paho.mqtt.client import topic_matches_sub

from edgeassist.engine.backends.base import LoadedModel, TokenFilter
from edgeassist.engine.backends.scripted import ScriptedBackend, ScriptedCodec, load
from edgeassist.engine.encoder import Prompt
from edgeassist.engine.kv.prefixes import Prefixes
from edgeassist.engine.kv.reach import Reach
from edgeassist.engine.kv.world import World
from edgeassist.engine.messages import (
    AUTO,
    Cancel,
    Cancelled,
    ChatMessage,
    Command,
    Decide,
    Decided,
    Delta,
    Event,
    Failed,
    Finish,
    Finished,
    Heartbeat,
    Load,
    Sampling,
    Start,
    Stop,
    Thinking,
    Tools,
)
from edgeassist.engine.prompting.codec import Encoded
from edgeassist.engine.step import Plan, Yield
from edgeassist.engine.worker import Worker, scheduler_for
from edgeassist.errors import InvalidRequestError
from edgeassist.gateways.mqtt.asking import Asking, AskingOptions
from edgeassist.gateways.mqtt.intake import ReplyRules
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.gateways.mqtt.replies import ReplyOptions
from edgeassist.protocol import events
from edgeassist.protocol.calibration import UNCALIBRATED, Calibration
from edgeassist.protocol.events import AnyEvent, Chunk, Done
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import Topics
from edgeassist.serving.admission import Limits
from edgeassist.serving.caller import Caller
from edgeassist.serving.conversation import Bounds
from edgeassist.serving.journal import Journal
from edgeassist.serving.policy import Policy
from edgeassist.serving.request import AnyRequest
from edgeassist.serving.requests import Requests
from edgeassist.serving.sink import OnSettled
from edgeassist.serving.stream import Pace, Stream
from tests import component

# A slow, shared machine is no defect: only pytest's own timeout ends a test.
settings.register_profile("edgeassist", deadline=None, max_examples=40)
settings.load_profile("edgeassist")

PACE = Pace(interval_s=0.05, progress_s=0.3)
ENDINGS = (Finished, Cancelled, Failed, Decided)
TOPICS = Topics("edgeassist", "box")
ROOMS = ["kitchen", "bath", "hall"]
ROOM = {"room": {"type": "choice", "instructions": "Which room is meant?", "criteria": ROOMS}}


component.install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what scripts/test.sh can run while llama.cpp is being compiled."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and not item.get_closest_marker("llama"):
            item.add_marker("wheels")


class ListLink:
    """A connection that notes what is published, and brings what a test says."""

    def __init__(self, *, most_bytes: int = 1 << 20) -> None:
        self.connected = True
        self.congested = False
        self.protocol = "5"
        self.published: list[Outbound] = []
        self._most_bytes = most_bytes
        self._routes: dict[str, Callable[[Inbound], None]] = {}

    def publish(self, message: Outbound) -> bool:
        if len(message.payload) > self._most_bytes:
            return message.shorter is not None and self.publish(message.shorter)
        self.published.append(message)
        return True

    def subscribe(self, subscription: Subscription, handler: Callable[[Inbound], None]) -> "ListRoute":
        self._routes[subscription.filter] = handler
        return ListRoute(self._routes, subscription.filter, handler)

    @property
    def filters(self) -> list[str]:
        return list(self._routes)

    @property
    def topics(self) -> list[str]:
        return [message.topic for message in self.published]

    def bring(self, message: Inbound) -> None:
        """Deliver a message to whoever listens there."""
        for each, handler in list(self._routes.items()):
            if topic_matches_sub(each, message.topic):
                handler(message)


@dataclass
class ListRoute:
    routes: dict[str, Callable[[Inbound], None]]
    filter: str
    handler: Callable[[Inbound], None]

    def close(self) -> None:
        if self.routes.get(self.filter) is self.handler:
            del self.routes[self.filter]


@dataclass
class ListSink:
    """A transport of a test's own: it notes the events."""

    wants_progress: bool = True
    chunk_bytes: int = 16
    escaped: bool = False
    event_bytes: int | None = None
    congested: bool = False
    events: list[AnyEvent] = field(default_factory=list)
    settle: list[OnSettled] = field(default_factory=list)

    def send(
        self, event: AnyEvent, on_settled: OnSettled | None = None, on_heard: OnSettled | None = None
    ) -> None:
        self.events.append(event)
        self.settle += filter(None, (on_settled, on_heard))

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def chunks(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Chunk)]


def finished(job: str) -> Finished:
    """Return how an engine ends a job."""
    return Finished(job, Finish.STOP, 10, 4, 3, 20, 50, dropped_messages=2, overhead_ms=1.5)


class Heard:
    """The stream of the request `a` that arrived at 100, and what its sink got."""

    def __init__(self, *, pace: Pace = PACE, chunks: bool = True, wants_progress: bool = True) -> None:
        self.sink = ListSink(wants_progress=wants_progress)
        self.stream = Stream(
            "a",
            self.sink,
            pace=pace,
            device="box",
            arrived=100.0,
            chunks=chunks,
            metadata={"room": None, "n": 1},
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(event.payload()) for event in self.sink.events]

    def done(self, now: float = 101.0) -> Done:
        return self.stream.done(finished("1"), model="m", session="s", now=now)


class StrangeCodec(ScriptedCodec):
    """The scripted codec, which refuses one prompt, and puts a question after `adapted:` in another world.

    Attributes:
        gate: What a question after `wait:` waits for, ten seconds at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def encode(
        self,
        messages: Sequence[ChatMessage],
        most: int | None = None,
        thinking: Thinking = AUTO,
        tools: Tools | None = None,
    ) -> Encoded:
        if messages[-1].content == "refuse me":
            raise InvalidRequestError("the template does not take this")
        if messages[-1].content.startswith("wait:"):
            assert self.gate.wait(10)
        prompt = super().encode(messages, most, thinking, tools)
        adapted = messages[-1].content.startswith("adapted:")
        return replace(prompt, world=("adapter",)) if adapted else prompt


class Watched(ScriptedBackend):
    """The scripted backend, which also notes every plan and which slots are open."""

    def __init__(self, kv_tokens: int, reach: Reach = None) -> None:
        super().__init__(kv_tokens, reach=reach)
        self.plans: list[Plan] = []
        self.aborted = 0
        # Called once, in a thread of its own, when the first step has begun.
        self.abort_soon: Callable[[], object] | None = None
        self.open_slots: set[int] = set()

    def first_tokens(self, count: int) -> list[int]:
        """Return the first tokens that were computed, over all steps."""
        return [token for plan in self.plans for work in plan.work for token in work.tokens][:count]

    def open(self, slot: int, sampling: Sampling, world: World, limits: TokenFilter | None = None) -> None:
        assert slot not in self.open_slots
        self.open_slots.add(slot)
        super().open(slot, sampling, world, limits)

    def step(self, plan: Plan) -> Yield:
        self.plans.append(plan)
        soon, self.abort_soon = self.abort_soon, None
        if soon is not None:
            threading.Timer(0.02, soon).start()
        return super().step(plan)

    def abort(self) -> None:
        self.aborted += 1
        super().abort()

    def close(self, slot: int) -> None:
        self.open_slots.discard(slot)
        super().close(slot)


class WorkerRoom:
    """A worker whose commands come from a reaction to its events, all in one thread."""

    def __init__(
        self,
        *,
        slots: int = 1,
        context: int = 256,
        step_tokens: int = 8,
        reach: Reach = None,
        branches: int | None = None,
        **options: Any,
    ) -> None:
        self.events: list[Event] = []
        self._commands: SimpleQueue[Command | Prompt] = SimpleQueue()
        self._react: Callable[[Event], Iterable[Command]] = lambda _event: ()
        # A step may take an hour, so that only `step_tokens` bounds it.
        self.load = Load("scripted", "", context, 1, step_tokens, step_ms=3_600_000, slots=slots, **options)
        facts = load(self.load, lambda _fraction: None).facts
        facts = replace_fields(
            facts,
            reach=reach,
            guesses=reach != 0,
            branches=facts.branches if branches is None else branches,
        )
        self.backend = Watched(facts.kv_tokens, reach=reach)
        self.codec = StrangeCodec()
        self.model = LoadedModel(self.backend, self.codec, facts, ends=(0,))
        self.scheduler = scheduler_for(self.load, facts)
        self.prefixes = Prefixes(facts.prefix_bytes, facts.reach)
        self.worker = Worker(
            self.model, self.scheduler, self.prefixes, commands=self._commands, emit=self._emit
        )

    def serve(
        self, *starts: Start | Decide, react: Callable[[Event], Iterable[Command]] = lambda _event: ()
    ) -> list[Event]:
        """Run until each of these requests ended; return what was said, but for heartbeats."""
        self.events.clear()
        self._left = len(starts)
        self._react = react
        for each in starts:
            self._commands.put(each)
        self.worker.run()
        return [event for event in self.events if not isinstance(event, Heartbeat)]

    def say(self, command: Command) -> None:
        """Queue a command as the reader's thread does."""
        self._commands.put(command)
        self.worker.interrupt(command)

    def _emit(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.append(event)
            for command in self._react(event):
                self._commands.put(command)
                self._left += isinstance(command, Start)
            self._left -= isinstance(event, ENDINGS)
        if not self._left:
            self._commands.put(Stop())


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Recorder:
    """Notes what the engine is told."""

    commands: list[Command] = field(default_factory=list)

    def send(self, command: Command) -> None:
        self.commands.append(command)

    @property
    def starts(self) -> list[Start]:
        return [command for command in self.commands if isinstance(command, Start)]

    @property
    def decisions(self) -> list[Decide]:
        return [command for command in self.commands if isinstance(command, Decide)]

    @property
    def cancels(self) -> list[str]:
        return [command.id for command in self.commands if isinstance(command, Cancel)]


class House:
    """Requests between an engine that is recorded, and prompts over a connection that is a list."""

    policy = Policy(
        limits=Limits(queue=4, per_client=5, ageing_s=30),
        bounds=Bounds(count=4, turns=4, expire_s=600),
        pace=Pace(interval_s=0.05, progress_s=0.3),
        timeout_s=60,
        remember_s=600,
        max_tokens=64,
        defaults=Sampling(top_k=7),
        system="",
    )
    options = AskingOptions(
        ReplyRules(("{root}/reply/", "reply/"), 2000),
        ReplyOptions(chunk_bytes=64, chunk_qos=0, final_qos=1),
    )

    def __init__(self, journal: Journal | None = None, **policy: Any) -> None:
        self.clock = Clock()
        self.engine = Recorder()
        self.link = ListLink()
        self.changes = 0
        self.ended: list[tuple[Caller, AnyRequest | None, Done | events.Failed]] = []
        self._ids = count(1)
        self.requests = Requests(
            "box",
            replace(self.policy, **policy),
            self.engine,
            on_change=self._changed,
            on_end=lambda *ended: self.ended.append(ended),
            journal=journal,
            clock=self.clock,
        )
        self.repeats = Repeats(self.link)
        self.asking = Asking(TOPICS, self.options, self.link, self.requests, self.repeats)
        self.asking.start()

    @property
    def published(self) -> list[Outbound]:
        return self.link.published

    def _changed(self) -> None:
        self.changes += 1

    def ask(
        self,
        prompt: object = "x",
        *,
        client: str | None = None,
        properties: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """Send a prompt, under an id of its own unless the fields have one; return its id."""
        request = {"id": f"r{next(self._ids)}", "prompt": prompt, **fields}
        self.receive(json.dumps(request).encode(), client=client, **(properties or {}))
        return str(request["id"])

    def receive(
        self, payload: bytes, *, client: str | None = None, decide: bool = False, **properties: Any
    ) -> None:
        """Deliver what came on a prompt topic, or on one for decisions, a moment after what came before."""
        self.clock.now += 0.001
        topic = TOPICS.decide(client) if decide else TOPICS.prompt(client)
        self.link.bring(Inbound(topic, payload, **properties))

    def decide(
        self,
        state: object = "The lamp over the stove is broken.",
        questions: Mapping[str, Any] = ROOM,
        *,
        client: str | None = None,
        properties: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """Ask questions about a state, under an id of its own unless the fields have one; return its id."""
        request = {"id": f"r{next(self._ids)}", "state": state, "questions": questions, **fields}
        self.receive(json.dumps(request).encode(), client=client, decide=True, **(properties or {}))
        return str(request["id"])

    def ready(
        self,
        slots: int = 1,
        *,
        constrains: bool = True,
        decides: bool = True,
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        self.requests.engines.ready(
            "m", slots, constrains=constrains, decides=decides, calibration=calibration
        )

    def say(self, event: Event) -> None:
        self.requests.engines.hear(event)

    def finish(self, job: str, text: str = "") -> None:
        """Let the engine end a job, with that text before."""
        if text:
            self.say(Delta(job, text))
        self.say(Finished(job, Finish.STOP, 3, 0, 2, prefill_ms=5, decode_ms=5))

    def decided(self, job: str, *scores: tuple[float, ...]) -> None:
        """Let the engine end a decision, with these scores for each of its questions."""
        self.say(Decided(job, scores, prompt_tokens=40, cached_tokens=30, prefill_ms=5))

    def heard(self, request: str) -> list[dict[str, Any]]:
        """Return the events of a request, wherever they went."""
        events = [json.loads(message.payload) for message in self.published]
        return [event for event in events if event["id"] == request]

    def types(self, request: str) -> list[str]:
        return [event["type"] for event in self.heard(request)]

    def error(self, request: str) -> str:
        """Return the code of the error that ended a request."""
        last = self.heard(request)[-1]
        assert last["type"] == "error", last
        return str(last["code"])

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Let the clock go on, and the time keeper do what is due."""
        self.clock.now += seconds
        keeper = asyncio.create_task(self.requests.keep_time())
        await asyncio.sleep(0)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


Hear = type[Heard]
MakeEngine = type[WorkerRoom]


class MakeHouse(Protocol):
    """The fixture `make_house`."""

    def __call__(self, journal: Journal | None = None, **policy: Any) -> House:
        """Return requests with that journal, and another value of these fields of the policy."""
        ...


@pytest.fixture(scope="session")
def hear() -> Hear:
    """Make a stream and listen to it."""
    return Heard


@pytest.fixture(scope="session")
def make_engine() -> MakeEngine:
    """Make a worker with the scripted backend."""
    return WorkerRoom


@pytest.fixture(scope="session")
def make_house() -> MakeHouse:
    """Make requests whose clock stands still unless the test lets it go on."""
    return House
