"""One campaign, from the first process to the last figure."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random

import psutil

from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.topics import Topics
from tests.campaign.asking import probe
from tests.campaign.faults import FAULTS
from tests.campaign.ledger import Ledger, Trouble
from tests.campaign.load import Asker
from tests.campaign.outcome import Options, Outcome
from tests.campaign.plan import Profile, Round, profiles, rounds
from tests.campaign.rules import Rules
from tests.campaign.stage import Stage
from tests.campaign.staging import GROUP, is_durable, keepalive_s, staged
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
PROBER = Profile("probe", "5", clean=True, asks_again=True, backoff=(0.05, 0.1))


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
        self._ledger = Ledger()
        self._rules = Rules(durable=is_durable(options), fleet=options.boxes > 1)
        self._topics = Topics("edgeassist", "box" if options.boxes == 1 else f"fleet/{GROUP}")
        self._probes = 0
        self._stopping = False

    def stop(self) -> bool:
        """Do nothing new, and judge what was; False if that was said before."""
        first, self._stopping = not self._stopping, True
        return first

    async def run(self) -> Outcome:
        """Do it all, and return what came of it."""
        begun = time.monotonic()
        outcome = Outcome(self._options, Tally(self._rules))
        async with staged(self._options) as stage:
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

    def _asker(self, profile: Profile, port: int) -> Asker:
        return Asker(
            profile,
            self._topics,
            self._ledger,
            port=port,
            seed=self._options.seed,
            reruns="on_crash" in PromptRequest.model_fields,
            keepalive_s=keepalive_s(self._options),
            watches=profile is PROBER,
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
        for each in self._plan():
            await asyncio.sleep(each.pause_s)
            if self._stopping or (until is not None and time.monotonic() >= until):
                return
            await self._round(each, stage, prober, askers)
            now = time.monotonic()
            outcome.tally.add(self._ledger.settled(now - KEEP_S), self._ledger, now)

    def _plan(self) -> Iterator[Round]:
        options = self._options
        return rounds(options.seed, options.faults, options.rounds, blocks=options.blocks)

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
