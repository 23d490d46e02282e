"""Kills a daemon, its engine, or both under prompts, and counts the ends that clients heard.

The clients have clean sessions, stay connected, ask once at QoS 1, and never ask again.
`python -m tests.daemon_death --kills 15 --clients 16 --victim daemon`, in minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from edgeassist.protocol.packets import Outbound
from edgeassist.sandbox import PrivateBroker, PrivateDaemon
from tests.conftest import TOPICS, Wire, environ_of
from tests.patience import PATIENCE_S

Victim = Literal["daemon", "engine", "both"]
# Until after the start, and all answers of a round.
LIMIT_S = PATIENCE_S + 30.0


@dataclass
class Tally:
    """What came of the prompts that the broker took.

    Attributes:
        asked: Prompts that the broker has acknowledged to their client.
        accepted: Of these, those whose client heard so.
        unheard: Prompts without an end.
        doubled: Ends beyond the first that were not marked as repeats.
        wrong: Answers with another text than the right one, in the end or in the chunks of its run.
        gaps: Answers in whose last run a number was missing.
    """

    asked: int = 0
    accepted: int = 0
    unheard: int = 0
    doubled: int = 0
    repeats: int = 0
    wrong: int = 0
    gaps: int = 0
    reruns: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in vars(self).items())


@dataclass
class Asker:
    """One client that asks once."""

    wire: Wire
    name: str
    text: str
    taken: bool = False

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in self.wire.heard]

    @property
    def ends(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] in {"done", "error"}]

    def ask(self, **fields: Any) -> None:
        prompt = {"id": self.name, "prompt": f"!script delay_ms=5\n{self.text}", **fields}
        topic = TOPICS.prompt(self.name)
        message = Outbound(topic, json.dumps(prompt).encode(), 1, on_settled=self._settle)
        self.wire.broker.publish(message)

    def _settle(self, delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled`
        self.taken = delivered

    def count(self, tally: Tally) -> None:
        events, ends = self.events, self.ends
        tally.asked += self.taken
        tally.accepted += any(event["type"] == "accepted" for event in events)
        tally.unheard += not ends
        tally.repeats += sum("repeat" in end for end in ends)
        tally.doubled += max(0, sum("repeat" not in end for end in ends) - 1)
        begins = [at for at, event in enumerate(events) if event["type"] == "accepted"]
        tally.reruns += max(0, len(begins) - 1)
        if not ends:
            return
        end = ends[0]
        tally.codes[end.get("code", "done")] += 1
        run = [event for event in events[begins[-1] if begins else 0 :] if "repeat" not in event]
        if end["type"] == "done":
            said = "".join(event["text"] for event in run if event["type"] == "chunk")
            tally.wrong += end["text"] != self.text or ("repeat" not in end and said != self.text)
            if "repeat" not in end:
                tally.gaps += [event["seq"] for event in run] != list(range(len(run)))


@dataclass(frozen=True)
class Death:
    """One broker and one daemon.

    Attributes:
        fields: Of every prompt.
    """

    broker: PrivateBroker
    daemon: PrivateDaemon
    clients: int
    dice: random.Random
    fields: dict[str, Any]

    async def kill(self, number: int, victim: Victim, tally: Tally) -> None:
        """Ask, kill, wait for all ends, and count."""
        async with AsyncExitStack() as stack:
            askers = []
            for each in range(self.clients):
                name, protocol = f"k{number}c{each}", ("5", "3.1.1")[each % 2]
                wire = Wire(self.broker.port, (TOPICS.reply(name, name),), protocol=protocol)
                askers.append(Asker(await stack.enter_async_context(wire), name, self._text()))
            for asker in askers:
                asker.ask(**self.fields)
            await asyncio.sleep(self.dice.uniform(0, 1.5))
            await self._kill(victim)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LIMIT_S):
                    while not all(asker.ends and asker.taken for asker in askers):
                        await asyncio.sleep(0.05)
            # What would be said twice comes now.
            await asyncio.sleep(0.5)
            for asker in askers:
                asker.count(tally)

    async def _kill(self, victim: Victim) -> None:
        if victim != "daemon":
            for child in psutil.Process(self.daemon.pid).children():
                child.kill()
        if victim != "engine":
            os.kill(self.daemon.pid, signal.SIGKILL)
            await asyncio.to_thread(self.daemon.stop)
            self.daemon.start()

    def _text(self) -> str:
        return " ".join(str(self.dice.randrange(10_000)) for _ in range(self.dice.randrange(4, 60)))


async def count(
    folder: Path,
    *,
    kills: int,
    clients: int,
    victim: Victim = "daemon",
    seed: int = 1,
    durable: bool = True,
    rerun: bool = False,
) -> Tally:
    """Kill so often, and count over all.

    Args:
        folder: For both programs' files.
        kills: How often.
        clients: How many ask each time.
        victim: What is killed.
        seed: Of all that is left to chance.
        durable: Whether requests are written down.
        rerun: Whether prompts ask to be answered anew.
    """
    tally = Tally()
    with PrivateBroker(folder) as broker:
        settings = {"engine__slots": 4, "admission__queue": 64, "admission__durable": durable}
        with PrivateDaemon(folder, environ_of(broker.port, **settings)) as daemon:
            fields = {"on_crash": "rerun"} if rerun else {}
            dice = random.Random(seed)  # noqa: S311 - no secret
            death = Death(broker, daemon, clients, dice, fields)
            async with Wire(broker.port, (TOPICS.status,)) as wire:
                await wire.until(lambda message: message.payload == b"online")
            for number in range(kills):
                await death.kill(number, victim, tally)
    return tally


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--victim", choices=["daemon", "engine", "both"], default="daemon")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--not-durable", dest="durable", action="store_false")
    parser.add_argument("--rerun", action="store_true")
    chosen = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="daemon-death") as folder:
        print(asyncio.run(count(Path(folder), **vars(chosen))))  # noqa: T201 - a command
    print(f"{time.monotonic() - begun:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
