"""One campaign, from the first process to the last figure."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil

from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker, free_port
from edgeassist.settings.schema import AdmissionSettings
from tests.campaign.asking import probe
from tests.campaign.disk import small_disk
from tests.campaign.faults import FAULTS, Need
from tests.campaign.faults.freeze import KEEPALIVE_S, STALL_S
from tests.campaign.faults.kill import ADOPT_S
from tests.campaign.keeper import Keeper
from tests.campaign.ledger import Ledger, Trouble
from tests.campaign.load import Asker
from tests.campaign.packets import Packets
from tests.campaign.plan import Profile, Round, profiles, rounds
from tests.campaign.relay import Relay
from tests.campaign.rules import Rules
from tests.campaign.stage import Stage
from tests.campaign.tally import Tally
from tests.campaign.verdict import judge

# The longest wait for whatever must come.
PATIENCE_S = 90.0
# A prompt that came before a device subscribed is lost: until one is answered, it is asked as often.
ASK_S = 3.0
# The load runs so long before anything is measured or broken.
WARM_S = 5.0
# What ended so long ago, and was not heard of since, is judged and forgotten.
KEEP_S = 90.0
# After the last end, for what may come once too often.
QUIET_S = 5.0
# An idle daemon has given back what it will after this.
SETTLE_S = 3.0
# The fleet's name, where there is one.
GROUP = "campaign"
PROBER = Profile("probe", "5", clean=True, asks_again=True, backoff=(0.05, 0.1))


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be done.

    Attributes:
        folder: For everything; must be empty.
        faults: Their names.
        boxes: How many daemons; more than one are a fleet, and are asked as such.
        rounds: How often each is done; None: until `minutes` have passed.
        durable: As the daemon's setting `admission.durable`; a daemon that knows no such setting is not.
        settings: More of the daemon's settings, as `engine__slots`.
    """

    folder: Path
    seed: int
    faults: tuple[str, ...]
    clients: int = 32
    boxes: int = 1
    rounds: int | None = None
    minutes: float | None = None
    durable: bool = True
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        troubles: What was done, in order.
        before: What the idle daemon took before the first fault, and `after` after the last.
        problems: Lines of the daemon's log that nobody expects, and what else must not be.
        failure: Why the campaign could not go on.
    """

    options: Options
    tally: Tally
    troubles: list[Trouble] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    starts: int = 0
    took_s: float = 0.0
    problems: list[str] = field(default_factory=list)
    failure: str | None = None

    @property
    def good(self) -> bool:
        """Whether nothing was that must not be."""
        return self.failure is None and not self.problems and not self.tally.wrong.total()

    def document(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "seed": self.options.seed,
            "faults": list(self.options.faults),
            "clients": self.options.clients,
            "durable": self.tally.rules.durable,
            "boxes": self.options.boxes,
            "took_s": round(self.took_s, 1),
            "starts": self.starts,
            "before": self.before,
            "after": self.after,
            "recovered_s": {
                fault: sorted(
                    round(each.recovered_s, 3)
                    for each in self.troubles
                    if each.fault == fault and each.recovered_s is not None
                )
                for fault in self.options.faults
            },
            "problems": self.problems,
            "failure": self.failure,
            **self.tally.document(),
        }


def is_durable(wanted: bool) -> bool:  # noqa: FBT001 - it is the only argument
    """Whether the daemon will be: an older one knows no such setting."""
    return wanted and "durable" in AdmissionSettings.model_fields


class Campaign:
    """Runs one.

    Args:
        options: What is to be done.
        say: Takes a line for whoever waits.
    """

    def __init__(self, options: Options, say: Callable[[str], None] = lambda _line: None) -> None:
        self._options = options
        self._say = say
        self._faults = [FAULTS[name] for name in options.faults]
        self._needs = frozenset().union(*(fault.needs for fault in self._faults))
        self._ledger = Ledger()
        self._rules = Rules(durable=is_durable(options.durable), fleet=options.boxes > 1)
        self._topics = Topics("edgeassist", "box" if options.boxes == 1 else f"fleet/{GROUP}")
        self._probes = 0
        self._patient = any(name.startswith("hang") for name in options.faults)

    async def run(self) -> Outcome:
        """Do it all, and return what came of it."""
        begun = time.monotonic()
        outcome = Outcome(self._options, Tally(self._rules))
        async with self._staged() as stage:
            try:
                await self._play(stage, outcome)
            except (TimeoutError, OSError, psutil.Error) as error:
                outcome.failure = f"{type(error).__name__}: {error}"
            for box in stage.boxes:
                outcome.starts += box.starts
                outcome.problems += box.unasked
                status = await box.stop()
                if status != 0:
                    outcome.problems.append(f"{box.name} ended with status {status} in the end")
            outcome.problems += stage.problems([each for fault in self._faults for each in fault.expected])
            await asyncio.to_thread(stage.broker.stop)
            outcome.problems += stage.leftovers()
        now = time.monotonic()
        outcome.tally.add(list(self._ledger.entries.values()), self._ledger, now)
        strays = ((client, what) for _, client, what in self._ledger.strays)
        outcome.problems += [f"{client} heard of what it did not wait for: {what}" for client, what in strays]
        outcome.troubles = self._ledger.troubles
        outcome.took_s = now - begun
        return outcome

    @asynccontextmanager
    async def _staged(self) -> AsyncIterator[Stage]:
        folder = self._options.folder
        async with contextlib.AsyncExitStack() as stack:
            if Need.SMALL_DISK in self._needs:
                stack.enter_context(small_disk(folder / "state"))
            lines, packets = ["allow_anonymous true"], None
            if Need.PACKETS in self._needs:
                packets = await stack.enter_async_context(Packets(self._options.seed))
                far_port = free_port()
                lines.append(f"listener {far_port} {packets.here}")
            broker = stack.enter_context(PrivateBroker(folder, lines))
            host, port = (HOST, broker.port) if packets is None else (packets.here, far_port)
            near, far = None, None
            if Need.RELAYS in self._needs:
                near, far = Relay(broker.port), Relay(broker.port, host)
                for relay in (near, far):
                    await relay.start()
                    stack.push_async_callback(relay.stop)
                port = far.port
            environ = self._environ(host, port)
            boxes = [self._box(index, environ, packets) for index in range(self._options.boxes)]
            stage = Stage(folder, broker, boxes)
            stage.packets, stage.clients_relay, stage.daemon_relay = packets, near, far
            for box in boxes:
                box.start()
                stack.push_async_callback(box.stop)
            yield stage

    def _box(self, index: int, environ: dict[str, str], packets: Packets | None) -> Keeper:
        folder = self._options.folder / f"more{index}" if index else self._options.folder
        folder.mkdir(exist_ok=True)
        name = f"box{index or ''}"
        return Keeper(name, folder, environ, () if packets is None else packets.prefix)

    def _environ(self, host: str, port: int) -> dict[str, str]:
        settings: dict[str, object] = {
            "mqtt__host": host,
            "mqtt__port": port,
            "mqtt__reconnect_max_s": 1,
            "model__backend": "scripted",
            "engine__slots": 4,
            "engine__restart_max_s": 1,
            "admission__queue": 2 * self._options.clients,
        }
        if "durable" in AdmissionSettings.model_fields:
            settings["admission__durable"] = str(self._options.durable).lower()
        if self._options.boxes > 1:
            settings |= {"fleet__group": GROUP, "fleet__adopt_s": ADOPT_S}
        if self._patient:
            settings |= {"engine__stall_timeout_s": STALL_S, "mqtt__keepalive_s": KEEPALIVE_S}
        settings |= self._options.settings
        return {f"EDGEASSIST_{key.upper()}": str(value) for key, value in settings.items()}

    def _asker(self, profile: Profile, port: int) -> Asker:
        return Asker(
            profile,
            self._topics,
            self._ledger,
            port=port,
            seed=self._options.seed,
            reruns="on_crash" in PromptRequest.model_fields,
            keepalive_s=KEEPALIVE_S if self._patient else 30,
        )

    async def _play(self, stage: Stage, outcome: Outcome) -> None:
        prober = self._asker(PROBER, stage.broker.port)
        relay = stage.clients_relay
        port = stage.broker.port if relay is None else relay.port
        askers = [self._asker(each, port) for each in profiles(self._options.clients)]
        async with contextlib.AsyncExitStack() as stack:
            for asker in (prober, *askers):
                asker.start()
                stack.push_async_callback(asker.stop)
            await self._ready(prober)
            await self._all_up(askers)
            for asker in askers:
                asker.resume()
            await asyncio.sleep(WARM_S)
            outcome.before = await self._settled(stage, askers)
            for asker in askers:
                asker.resume()
            await self._rounds(stage, prober, askers, outcome)
            self._say("no more faults: waiting for what has no end yet")
            outcome.after = await self._settled(stage, askers)
            await asyncio.sleep(QUIET_S)

    async def _rounds(self, stage: Stage, prober: Asker, askers: Sequence[Asker], outcome: Outcome) -> None:
        minutes = self._options.minutes
        until = None if minutes is None else time.monotonic() + 60 * minutes
        for each in rounds(self._options.seed, self._options.faults, self._options.rounds):
            await asyncio.sleep(each.pause_s)
            if until is not None and time.monotonic() >= until:
                return
            await self._round(each, stage, prober, askers)
            now = time.monotonic()
            outcome.tally.add(self._ledger.settled(now - KEEP_S), self._ledger, now)

    async def _round(self, each: Round, stage: Stage, prober: Asker, askers: Sequence[Asker]) -> None:
        fault = FAULTS[each.fault]
        trouble = Trouble(fault.name, fault.hurts, time.monotonic())
        self._ledger.troubles.append(trouble)
        random = Random(each.seed)
        strike = asyncio.create_task(fault.strike(stage, random), name=f"fault-{fault.name}")
        await asyncio.sleep(0)
        try:
            trouble.recovered_s = await self._answers(prober) - trouble.at
        finally:
            await strike
        await self._all_up(askers)
        trouble.until = time.monotonic()
        open_now = sum(1 for _ in self._ledger.unended())
        self._say(
            f"{each.number + 1:4d} {fault.name:14s} answers after {trouble.recovered_s:5.2f} s, all are back "
            f"after {trouble.until - trouble.at:5.2f} s; {open_now} requests have no end yet"
        )

    async def _ready(self, prober: Asker) -> None:
        """Ask until the device, or the fleet, answers for the first time."""
        for _ in range(round(PATIENCE_S / ASK_S)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await self._answers(prober)
                    return
        raise TimeoutError(f"nothing has answered within {PATIENCE_S:g} s of its start")

    async def _answers(self, prober: Asker) -> float:
        """Ask something that goes before all else; return when its first text came."""
        request = probe(self._probes)
        self._probes += 1
        async with asyncio.timeout(PATIENCE_S):
            return await prober.first_text(prober.publish(request))

    async def _all_up(self, askers: Sequence[Asker]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not all(asker.link.up for asker in askers):
                await asyncio.sleep(0.05)

    def _awaited(self) -> bool:
        """Whether an end has to come still: not to who missed it, or was never heard by the device."""
        now = time.monotonic()
        return any(
            now - each.last_at < QUIET_S or judge(each, self._ledger, now, self._rules).wrong
            for each in self._ledger.unended()
        )

    async def _settled(self, stage: Stage, askers: Sequence[Asker]) -> dict[str, int]:
        """Let all that is asked end, if it does, and return what the idle daemon takes."""
        for asker in askers:
            asker.pause()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while self._awaited():
                    await asyncio.sleep(0.1)
        await asyncio.sleep(SETTLE_S)
        with stage.box.process.oneshot():
            memory = stage.box.process.memory_info().rss
        return {"memory_bytes": memory, "files": stage.box.process.num_fds()}
