"""A fleet under many clients: `python -m tests.fleet.scale --boxes 64 --clients 1000 --prompts 20000`.

The boxes are processes with the `scripted` backend, whose answers take time that costs no processor, not all
the same. Printed is what was lost, how long slots were idle while requests waited, and answers per second.
With `--against 1` fewer boxes answer as many prompts for each of their slots before, for comparison; one
is then asked on its own topics.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.topics import Topics
from tests.fleet.crowd import Crowd
from tests.fleet.spent import COUNTING, Meter, Spent
from tests.fleet.tally import Tally, count
from tests.integration.fleet import TOPICS, FleetHouse, Watcher

# So many start at a time.
_TOGETHER = 8
_START_S = 600.0
# How long answers take, by their average.
_FACTORS = (0.2, 0.6, 1.0, 1.4, 1.8)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried.

    Attributes:
        slots: Of each box.
        cost_ms: How long an answer takes on average, in steps of `step_ms`.
        step_ms: A step's length.
        rest_s: How long it is measured before what boxes take that nobody asks.
    """

    boxes: int
    clients: int
    prompts: int
    slots: int = 1
    cost_ms: int = 1000
    step_ms: int = 100
    connections: int = 4
    seed: int = 1
    rest_s: float = 0.0

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield each prompt with its answer: a token of four bytes for each step but the first."""
        lengths = random.Random(self.seed)  # noqa: S311 - no secret
        factors: list[float] = []
        for number in range(self.prompts):
            # Each comes as often as the others, so that two runs have the same average.
            factors = factors or lengths.sample(_FACTORS, len(_FACTORS))
            word = f"{number % 10_000:04}"
            repeat = max(1, round(self.cost_ms * factors.pop() / self.step_ms))
            yield f"!script delay_ms={self.step_ms} repeat={repeat}\n{word}", word * repeat


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a plan.

    Attributes:
        tally: Of what was asked.
        spent: For each prompt.
        resting: In a second in which nobody asked.
    """

    tally: Tally
    spent: Spent
    resting: Spent


async def run(plan: Plan, folder: Path) -> Trial:
    """Start the boxes, have the crowd ask, and count."""
    settings: dict[str, Any] = {
        "engine__slots": plan.slots,
        # No governor: on one machine, each box is another program to the others.
        "engine__threads": 1,
        "engine__speculate": "false",
        "admission__queue": 10_000,
        "admission__timeout_s": 86_400,
    }
    broker = ("allow_anonymous true", COUNTING)
    with FleetHouse(folder, broker=broker, fleet__adopt_s=10, **settings) as house:
        names = [f"box{number:02}" for number in range(plan.boxes)]
        # Who watches hears everything: not while it is measured.
        async with AsyncExitStack() as stack:
            watcher = await house.watcher(stack)
            for first in range(0, len(names), _TOGETHER):
                some = names[first : first + _TOGETHER]
                for name in some:
                    house.box(name)
                await watcher.until(partial(_online, watcher, some), _START_S)
        # One box is what somebody has who has no fleet.
        topics = TOPICS if plan.boxes > 1 else Topics("edgeassist", names[0])
        port, daemons = house.broker.port, [box.pid for box in house.boxes.values()]
        async with (
            Meter(port, house.broker.pid, daemons) as meter,
            Crowd(port, topics, clients=plan.clients, connections=plan.connections) as crowd,
        ):
            resting = await _rest(plan, meter)
            before = await meter.read()
            tally = count(await crowd.ask(plan.texts()), plan.boxes * plan.slots)
            spent = await meter.read() - before
        return Trial(tally, spent / max(1, plan.prompts), resting)


async def _rest(plan: Plan, meter: Meter) -> Spent:
    if not plan.rest_s:
        return Spent()
    before, begun = await meter.read(), time.monotonic()
    await asyncio.sleep(plan.rest_s)
    return (await meter.read() - before) / (time.monotonic() - begun)


def _online(watcher: Watcher, names: list[str]) -> bool:
    states = [watcher.boxes.get(name) for name in names]
    return all(state is not None and state.state is BoxCondition.ONLINE for state in states)


def table(plan: Plan, trial: Trial) -> str:
    """Return the figures, a line each."""
    tally, spent, resting = trial.tally, trial.spent, trial.resting
    counts = list(tally.by_box.values()) or [0]
    ideal = plan.boxes * plan.slots / (plan.cost_ms / 1000)
    lines = [
        f"{plan.boxes} boxes of {plan.slots} slots, {plan.clients} clients, {plan.cost_ms} ms an answer",
        f"  asked {tally.asked}, lost {tally.lost}, ended twice {tally.doubled}, wrong text "
        f"{tally.wrong}, errors {tally.errors or 0}",
        f"  a box answered {min(counts)} to {max(counts)}; an answer ran {tally.ran_ms:.0f} ms",
        f"  {tally.per_s:.2f} answers/s (slots allow {ideal:.2f}) while requests waited, "
        f"which was for {tally.seconds:.0f} s",
        f"  slots idle meanwhile: {tally.idle:.1%}",
        f"  a prompt took {_ms(spent.daemons)} of the daemons, {_ms(spent.engines)} of the engines, "
        f"{_ms(spent.broker)} of the broker, {_ms(spent.crowd)} of the clients",
        f"  and {spent.published:.1f} messages published, {spent.delivered:.1f} delivered with "
        f"{spent.delivered_bytes:.0f} bytes; daemons went to sleep {spent.switches:.1f} times",
    ]
    if plan.rest_s:
        lines.append(
            f"  a box that nobody asks takes {resting.daemons / plan.boxes:.2%} of a core for the daemon, "
            f"{resting.engines / plan.boxes:.2%} for the engine"
        )
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet.scale", description=__doc__)
    for name, default in (("boxes", 4), ("clients", 50), ("prompts", 400), ("slots", 1), ("cost-ms", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rest", type=float, default=0.0, help="measure so many seconds before it, too")
    parser.add_argument("--against", type=int, help="a fleet of so many boxes to compare with")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    plan = partial(Plan, slots=options.slots, cost_ms=options.cost_ms, rest_s=options.rest)
    plans = [plan(options.boxes, options.clients, options.prompts)]
    if options.against:
        fewer = options.prompts * options.against // options.boxes
        plans.insert(0, plan(options.against, options.clients, fewer))
    trials = []
    for each in plans:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
            trials.append(asyncio.run(run(each, Path(folder))))
        if not options.json:
            sys.stdout.write(
                f"{table(each, trials[-1])}\n  ({time.monotonic() - began:.0f} s with the start)\n"
            )
            sys.stdout.flush()
    if options.json:
        found = [
            {**asdict(each), **asdict(trial.tally), "spent": asdict(trial.spent)}
            | ({"resting": asdict(trial.resting)} if each.rest_s else {})
            for each, trial in zip(plans, trials, strict=True)
        ]
        sys.stdout.write(json.dumps(found) + "\n")
    elif len(trials) > 1 and trials[0].tally.per_s:
        ratio = trials[1].tally.per_s / trials[0].tally.per_s
        sys.stdout.write(f"{ratio:.2f} times the answers per second\n")


if __name__ == "__main__":
    main()
