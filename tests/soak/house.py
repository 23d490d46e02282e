"""The daemon's rooms on simulated time: requests, watches, reports, discovery, sleep, lost connections."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from edgeassist.broker.attempts import Attempt, Backoff
from edgeassist.daemon.sleeping import Sleeping
from edgeassist.engine.messages import Command
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.homeassistant.discovery import Discovery, DiscoveryOptions
from edgeassist.gateways.homeassistant.watched import watch_components
from edgeassist.gateways.mqtt.asking import Asking
from edgeassist.gateways.mqtt.commands import Commands
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.gateways.mqtt.reporter import Reporter
from edgeassist.gateways.mqtt.twins import Twins
from edgeassist.gateways.mqtt.watches import Watches, WatchesOptions
from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.decisions import Kind, Question
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.state import Instance, State
from edgeassist.serving.caller import Caller
from edgeassist.serving.request import AnyRequest
from edgeassist.serving.requests import Requests
from edgeassist.supervision.supervisor import Phase
from edgeassist.watching.options import InputOptions, WatchOptions
from tests.fuzz.box import OPTIONS, POLICY, TOPICS, Pair
from tests.soak.simulated import SimulatedLoop
from tests.unit.conftest import ListLink
from tests.unit.test_homeassistant import health, info

# How long the engine works at what it has, and how long a load takes.
ANSWER_S = 0.5
LOAD_S = 3.0
# And the broker, to acknowledge a message.
SETTLED_S = 0.01
SLEEP_S = 1800.0
_REPORT_S = 60.0
_WATCHES = (
    WatchOptions(
        "cellar",
        (InputOptions("house/cellar", "$.water", step=5), InputOptions("house/door/+", keep=3)),
        {"flood": Question(type=Kind.YES_NO, instructions="Is there water?")},
        interval_s=60,
        dwell_s=120,
        stale_s=3600,
    ),
    WatchOptions(
        "mood",
        (InputOptions("house/noise", keep=8),),
        {"how": Question(type=Kind.CHOICE, instructions="How is it?", criteria={"calm": None, "loud": None})},
        interval_s=0,
        hysteresis=0.2,
        stale_s=900,
    ),
)


class CountingLink(ListLink):
    """A connection of which only counts and retained messages are kept."""

    def __init__(self) -> None:
        super().__init__(most_bytes=1 << 18)
        self.retained: dict[str, int] = {}
        self.kinds: Counter[str] = Counter()
        self.on_end: Callable[[str, str, bool], None] = lambda _request, _code, _repeated: None

    def publish(self, message: Outbound) -> bool:
        """Count a message, and tell of an end."""
        taken = super().publish(message)
        for each in self.published:
            self._count(each)
            if each.on_settled is not None:
                asyncio.get_running_loop().call_later(SETTLED_S, each.on_settled, True)  # noqa: FBT003
        self.published.clear()
        return taken

    def _count(self, message: Outbound) -> None:
        if message.retain:
            self.kinds[message.topic] += 1
            if message.payload:
                self.retained[message.topic] = len(message.payload)
            else:
                self.retained.pop(message.topic, None)
            return
        self.kinds["reply" if "/reply" in message.topic else message.topic.rpartition("/")[0]] += 1
        document = json.loads(message.payload)
        if document.get("type") in {"done", "error"}:
            self.on_end(document["id"], document.get("code", "done"), "repeat" in document)


class Engine:
    """The engine and what its supervisor does: it answers later, dies, sleeps and comes back."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._pair = Pair()
        self._due: asyncio.TimerHandle | None = None
        self.phase = Phase.READY
        self.requests: Requests
        self.on_phase: Callable[[Phase], None] = lambda _phase: None
        self.lives = 1

    def send(self, command: Command) -> None:
        """Take a command; what it leads to comes later."""
        if self.phase is Phase.READY:
            self._pair.take = self.requests.engines.hear
            self._pair.send(command)
            if self._due is None:
                self._due = self._loop.call_later(ANSWER_S, self._work)

    def _work(self) -> None:
        self._due = None
        self._pair.settle()

    def _end(self, phase: Phase) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._pair = Pair()
        self.phase = phase
        self.on_phase(phase)

    def die(self) -> None:
        """Be gone in the middle of whatever it is, and back after a while."""
        if self.phase is Phase.READY:
            self._end(Phase.LOADING)
            self.requests.engines.lost("the engine died", planned=False)
            self._loop.call_later(LOAD_S, self.load)

    async def park(self, why: str, *, sleeping: bool = False) -> None:
        """End it (`Supervisor.park`)."""
        del why, sleeping
        self._end(Phase.SLEEPING)
        self.requests.engines.asleep()

    def resume(self) -> None:
        """Start it again (`Supervisor.resume`)."""
        if self.phase is Phase.SLEEPING:
            self.phase = Phase.LOADING
            self._loop.call_later(LOAD_S, self.load)

    def load(self) -> None:
        """Be ready."""
        self.lives += 1
        self.phase = Phase.READY
        facts = self._pair.facts
        self.requests.engines.ready(
            facts.name, facts.slots, constrains=facts.constrains, decides=facts.decides
        )
        self.on_phase(Phase.READY)


class House:
    """All rooms, started. Made inside of the running loop.

    Args:
        loop: Whose time they go by.
        random: Spreads the pauses between connections.
    """

    def __init__(self, loop: SimulatedLoop, random: Random) -> None:
        self.loop = loop
        self.link = CountingLink()
        self.engine = Engine(loop)
        self.losses = 0
        self._random = random
        self._backoff = Backoff(60.0)
        self._connections = 1
        self.requests = Requests(
            "box",
            POLICY,
            self.engine,
            on_change=self._load_changed,
            on_end=self._ended,
            clock=loop.time,
        )
        self.engine.requests = self.requests
        self.discovery = Discovery(
            TOPICS,
            DiscoveryOptions(on=True, prefix="homeassistant", status_topic="homeassistant/status"),
            self.link,
            health=health,
            say_state=self._say_states,
            more=lambda: watch_components(TOPICS, self.watches.questions, self.watches.gone),
        )
        self.reporter = Reporter(
            TOPICS,
            _REPORT_S,
            self.link,
            health=lambda: health(state=State.READY, uptime_s=int(loop.time())),
            telemetry=self.requests.tally.report,
            info=lambda: info(loaded=True),
            clock=loop.time,
        )
        self.watches = Watches(
            TOPICS,
            WatchesOptions(_WATCHES, "homeassistant"),
            self.link,
            self.requests,
            on_change=self.discovery.changed,
            clock=loop.time,
            wall=lambda: 1_700_000_000 + loop.time(),
        )
        self.twins = Twins(TOPICS, self._instance, self.link, on_change=lambda _words: None, clock=loop.time)
        self.sleeping = Sleeping(
            SLEEP_S,
            supervisor=self.engine,
            requests=self.requests,
            switches=lambda: False,
            clock=loop.time,
        )
        self.engine.on_phase = self.sleeping.engine_changed
        repeats = Repeats(self.link, loop.time)
        asking = Asking(TOPICS, OPTIONS, self.link, self.requests, repeats)
        handlers = {**dict.fromkeys(COMMANDS, _agree), "cancel": self._cancel}
        commands = Commands(TOPICS, OPTIONS.rules.prefixes, self.link, handlers)
        self.gateways: list[Gateway] = [
            self.discovery, asking, repeats, commands, self.reporter, self.watches, self.twins,
        ]  # fmt: skip
        for gateway in self.gateways:
            gateway.start()
        self.engine.load()
        self._connected()

    async def run(self) -> None:
        """Run what runs for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.requests.keep_time(), name="time-keeper")
            group.create_task(self.sleeping.run(), name="sleep")
            for gateway in self.gateways:
                group.create_task(gateway.run(), name=type(gateway).__name__)

    def bring(self, topic: str, payload: bytes, **properties: Any) -> None:
        """Deliver a message, if there is a connection."""
        if self.link.connected:
            self.link.bring(Inbound(topic, payload, **properties))

    async def lose_connection(self, attempts: int, lasted_s: float) -> None:
        """Be without the broker for as long as so many attempts take, each of them refused but the last."""
        self.losses += 1
        self.link.connected = False
        for attempt in range(attempts):
            for gateway in self.gateways:
                gateway.disconnected()
            accepted = attempt == 0
            self._backoff.ended(Attempt(reached=True, greeted=True, accepted=accepted), lasted_s)
            await asyncio.sleep(self._backoff.pause_s(self._random.random()))
            lasted_s = 0.1
        self._connected()

    def _connected(self) -> None:
        self._connections += 1
        self.link.connected = True
        for gateway in self.gateways:
            gateway.connected()

    def _instance(self) -> Instance:
        return Instance(
            boot_id="ours",
            connection=self._connections,
            client_id="box",
            pid=1,
            host="here",
            address=None,
            version="1",
        )

    def _ended(self, caller: Caller, asked: AnyRequest | None, end: Done | Failed) -> None:
        self.discovery.ended(caller, asked, end)

    def _load_changed(self) -> None:
        self.sleeping.look()
        self.reporter.changed()

    def _say_states(self) -> None:
        self.reporter.say_all()
        self.watches.say_all()

    async def _cancel(self, arguments: Any, _say: object) -> dict[str, Any]:
        return {"cancelled": int(self.requests.cancel(arguments.request or "", arguments.client))}


async def _agree(_arguments: object, _say: object) -> dict[str, Any]:
    return {"agreed": True}
