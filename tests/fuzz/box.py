"""The daemon's rooms from MQTT messages to the engine's steps, in one process and on a clock of their own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from queue import SimpleQueue
from typing import Any

from edgeassist.engine.backends.scripted import load
from edgeassist.engine.encoder import Prompt
from edgeassist.engine.kv.prefixes import Prefixes
from edgeassist.engine.messages import (
    Cancelled,
    Command,
    Decide,
    Decided,
    Event,
    Failed,
    Finished,
    Load,
    Sampling,
    Start,
    Stop,
    decode_command,
    decode_event,
    encode,
)
from edgeassist.engine.worker import Worker, scheduler_for
from edgeassist.gateways.commands import Say
from edgeassist.gateways.mqtt.asking import Asking, AskingOptions
from edgeassist.gateways.mqtt.commands import Commands
from edgeassist.gateways.mqtt.intake import ReplyRules
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.gateways.mqtt.replies import ReplyOptions
from edgeassist.protocol.commands import COMMANDS, CancelArguments
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.topics import CommandTopic, DecideTopic, PromptTopic, Topics
from edgeassist.serving.admission import Limits
from edgeassist.serving.conversation import Bounds
from edgeassist.serving.policy import Policy
from edgeassist.serving.requests import Requests
from edgeassist.serving.stream import Pace
from tests.fuzz.target import FaultError
from tests.unit.conftest import Clock, ListLink

TOPICS = Topics("edgeassist", "box")
POLICY = Policy(
    limits=Limits(queue=4, per_client=5, ageing_s=30),
    bounds=Bounds(count=4, turns=4, expire_s=600),
    pace=Pace(interval_s=0.05, progress_s=0.3),
    timeout_s=60,
    remember_s=20,
    max_tokens=48,
    defaults=Sampling(top_k=7),
    system="",
)
OPTIONS = AskingOptions(
    ReplyRules(("{root}/reply/", "reply/"), 1 << 16), ReplyOptions(chunk_bytes=64, chunk_qos=0, final_qos=1)
)
_SLOTS = 2
_CONTEXT = 256
_ENDINGS = (Finished, Cancelled, Failed, Decided)
_SCRIPT = "!script"


class Pair:
    """The engine with the scripted backend, in this thread: what crosses the pipe is encoded and decoded."""

    def __init__(self) -> None:
        options = Load("scripted", "", _CONTEXT, 1, 64, step_ms=3_600_000, slots=_SLOTS)
        model = load(options, lambda _fraction: None)
        self.facts = model.facts
        self.take: Callable[[Event], None] = lambda _event: None
        self.open: set[str] = set()
        self._commands: SimpleQueue[Command | Prompt] = SimpleQueue()
        self._heard: deque[Event] = deque()
        self._home = threading.get_ident()
        self._stopping = False
        self._worker = Worker(
            model,
            scheduler_for(options, model.facts),
            Prefixes(1 << 16, model.facts.reach),
            commands=self._commands,
            emit=self._emit,
        )

    def send(self, command: Command) -> None:
        """Take a command as the supervisor does."""
        command = decode_command(encode(command).removesuffix(b"\n"))
        match command:
            case Start(messages=[*_, last]) if last.content.lstrip().startswith(_SCRIPT):
                # A script may end the process that it runs in.
                self.open.add(command.id)
                self._heard.append(Failed(command.id, "internal", "no scripts here"))
                return
            case Start() | Decide():
                self.open.add(command.id)
        self._commands.put(command)

    def settle(self) -> None:
        """Run until every job has ended."""
        self._drain()
        while self.open:
            self._stopping = False
            self._worker.run()
            self._drain()

    def _emit(self, events: Iterable[Event]) -> None:
        for event in events:
            self._heard.append(decode_event(encode(event).removesuffix(b"\n")))
        if threading.get_ident() == self._home:
            self._drain()
            if not self.open and not self._stopping:
                self._stopping = True
                self._commands.put(Stop())

    def _drain(self) -> None:
        while self._heard:
            event = self._heard.popleft()
            if isinstance(event, _ENDINGS):
                self.open.discard(event.id)
            self.take(event)


class Box:
    """A device without sockets. Made inside of a running event loop, and used there."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.engine = Pair()
        self.link = ListLink(most_bytes=1 << 18)
        self.requests = Requests(
            "box", POLICY, self.engine, on_change=lambda: None, on_end=lambda *_: None, clock=self.clock
        )
        self.engine.take = self.requests.engines.hear
        self.asking = Asking(TOPICS, OPTIONS, self.link, self.requests, Repeats(self.link, self.clock))
        self.asking.start()
        handlers = {**dict.fromkeys(COMMANDS, _agree), "cancel": self._cancel}
        self.commands = Commands(TOPICS, OPTIONS.rules.prefixes, self.link, handlers)
        self.commands.start()
        facts = self.engine.facts
        self.requests.engines.ready(
            facts.name, facts.slots, constrains=facts.constrains, decides=facts.decides
        )

    async def handle(self, messages: Iterable[tuple[Inbound, bool]]) -> list[str]:
        """Take messages, each with whether what runs may end before the next; return what was said last.

        Raises:
            FaultError: One has no end, or two, or something is left behind.
        """
        said: list[str] = []
        least = most = 0
        seen: set[tuple[Any, ...]] = set()
        for message, settles in messages:
            self.clock.now += 0.5
            owed = _owed(message)
            whole = (message.topic, message.payload, message.response_topic, message.correlation)
            # A repeat is dropped while the first runs, and answered as that was if it has ended.
            least += 0 if whole in seen or message.redelivered else owed
            most += owed
            seen.add(whole)
            self.link.bring(message)
            await asyncio.sleep(0)
            if settles:
                await self._settle()
                seen.clear()
        await self._settle()
        ends = [*_ends(self.link.published)]
        said += [end for end, _ in ends]
        for published in self.link.published:
            if published.on_settled is not None:
                published.on_settled(True)  # noqa: FBT003 - as the broker's room calls it
        self.link.published.clear()
        if not least <= len(ends) <= most:
            raise FaultError(f"{least} to {most} ends are owed, and there are {len(ends)}: {said}")
        return said

    async def _settle(self) -> None:
        self.engine.settle()
        await asyncio.sleep(0)
        await self.commands.settle()
        self.engine.settle()
        if self.requests.queued or self.requests.running:
            raise FaultError(f"{self.requests.queued} wait and {self.requests.running} run for ever")

    async def _cancel(self, arguments: CancelArguments, _say: Say) -> dict[str, Any]:
        if arguments.all:
            return {"cancelled": self.requests.cancel_all(arguments.client)}
        return {"cancelled": int(self.requests.cancel(arguments.request or "", arguments.client))}


def _owed(message: Inbound) -> int:
    """Return how many ends a message is owed."""
    topic = None if message.retained else TOPICS.parse(message.topic)
    return int(isinstance(topic, PromptTopic | DecideTopic | CommandTopic))


async def _agree(_arguments: object, _say: Say) -> dict[str, Any]:
    return {"agreed": True}


def _ends(published: Iterable[Outbound]) -> Iterable[tuple[str, Outbound]]:
    """Yield terminal events and commands' answers, each by what it says."""
    for message in published:
        try:
            document = json.loads(message.payload)
        except ValueError:
            continue
        if not isinstance(document, Mapping):
            continue
        if document.get("type") in {"done", "error"} and "seq" in document:
            yield str(document.get("code") or document.get("finish_reason") or "decided"), message
        elif document.get("status") in {"ok", "error"}:
            yield str((document.get("error") or {}).get("code", "ok")), message
