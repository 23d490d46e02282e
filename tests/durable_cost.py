"""What it costs that nothing is lost: two daemons that differ in that alone are asked in turns.

`python -m tests.durable_cost --model model.gguf --turns 20 --folder DISK`: milliseconds until the first
chunk, tokens per second of four streams, and what is written for each prompt. `--prompts 500` with the
scripted model counts the bytes of short requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from edgeassist.protocol.packets import Inbound
from edgeassist.sandbox import PrivateBroker, PrivateDaemon
from tests.conftest import TOPICS, Wire, environ_of, kind
from tests.patience import PATIENCE_S

PER_DAY = 10_000
STREAMS = 4


def written_by(pid: int) -> int:
    """Return the bytes that a process has caused to be written to a disk."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


@dataclass
class Side:
    """One daemon, its client, and what was measured."""

    daemon: PrivateDaemon
    wire: Wire
    first_ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    async def ask(self, name: str, prompt: str, **fields: Any) -> dict[str, Any]:
        """Ask, and return the end; note when the first chunk came."""
        document = {"id": name, "prompt": prompt, **fields}
        begun = time.perf_counter()
        self.wire.say(TOPICS.prompt(), json.dumps(document), qos=1)

        def is_of(message: Inbound, *kinds: str) -> bool:
            return message.topic == TOPICS.reply(name) and kind(message) in kinds

        await self.wire.until(lambda message: is_of(message, "chunk", "done"), 10 * PATIENCE_S)
        self.first_ms.append(1000 * (time.perf_counter() - begun))
        end = await self.wire.until(lambda message: is_of(message, "done", "error"), 10 * PATIENCE_S)
        return dict(json.loads(end.payload))

    async def stream(self, name: str, tokens: int) -> None:
        """Have four answers at once, and note the rate of all of them."""
        begun = time.perf_counter()
        asked = [
            self.ask(
                f"{name}s{each}", f"Tell me story number {each} of {name}.", max_tokens=tokens, temperature=0
            )
            for each in range(STREAMS)
        ]
        ends = await asyncio.gather(*asked)
        total = sum(end["usage"]["completion_tokens"] for end in ends)
        self.rates.append(total / (time.perf_counter() - begun))
        del self.first_ms[-STREAMS:]


async def measure(folder: Path, *, model: str | None, turns: int, tokens: int, prompts: int) -> None:
    """Measure, and print."""
    async with AsyncExitStack() as stack:
        sides = {}
        for name, durable in (("durable", True), ("not", False)):
            place = folder / name
            place.mkdir()
            with ExitStack() as started:
                broker = started.enter_context(PrivateBroker(place))
                settings: dict[str, Any] = {"admission__durable": durable, "engine__slots": STREAMS}
                settings |= {"engine__state_mb": 0, "admission__per_client": 64, "admission__queue": 64}
                if model is not None:
                    settings["model__path"] = model
                daemon = started.enter_context(PrivateDaemon(place, environ_of(broker.port, **settings)))
                stack.push(started.pop_all())
            wire = await stack.enter_async_context(Wire(broker.port, (TOPICS.reply("+"), TOPICS.status)))
            await wire.until(lambda message: message.payload == b"online")
            sides[name] = Side(daemon, wire)
            await sides[name].ask("warm", "Hello", max_tokens=8)
            sides[name].first_ms.clear()
        for turn in range(turns):
            for side in by_turns(sides.values(), turn):
                side.wire.heard.clear()
                await side.ask(f"t{turn}", f"What is {turn} and {turn}?", max_tokens=4, temperature=0)
        before = {name: processor_s(side) for name, side in sides.items()}
        for turn in range(turns // 4):
            for side in by_turns(sides.values(), turn):
                side.wire.heard.clear()
                await side.stream(f"r{turn}", tokens)
        spent, without = (1000 * (processor_s(sides[name]) - before[name]) for name in ("durable", "not"))
        answers = max(1, turns // 4 * STREAMS)
        each = f"{spent / answers:.1f} ms an answer, without {without / answers:.1f}"
        say(f"processor time of the daemon, four streams: {each}")
        await report(sides["durable"], sides["not"], prompts)


def processor_s(side: Side) -> float:
    """Return the processor time that a daemon has taken, without its engine."""
    times = psutil.Process(side.daemon.pid).cpu_times()
    return times.user + times.system


def say(line: str) -> None:
    """Print a line."""
    print(line, flush=True)  # noqa: T201 - a command


def by_turns(sides: Iterable[Side], turn: int) -> list[Side]:
    """Return them in this order and, every other time, in the other."""
    return [*sides][:: -1 if turn % 2 else 1]


async def report(one: Side, other: Side, prompts: int) -> None:
    """Print what was measured of both, and count what that one writes for so many prompts."""
    median = statistics.median
    added = [mine - theirs for mine, theirs in zip(one.first_ms, other.first_ms, strict=True)]
    ratios = [mine / theirs for mine, theirs in zip(one.rates, other.rates, strict=True)]
    first = f"{median(one.first_ms):.1f} ms, without {median(other.first_ms):.1f}"
    lines = [f"first chunk: {first}; added in turns, median of {len(added)}: {median(added):+.1f} ms"]
    if len(added) > 1:
        low, _, high = statistics.quantiles(added)
        # A median of n normal values scatters by 1.25 sigma / sqrt(n); their quartiles are 1.35 sigma apart.
        doubt = 1.96 * 1.25 / 1.35 * (high - low) / len(added) ** 0.5
        lines[0] += f" +/- {doubt:.1f} (95 %), quartiles {low:+.1f} to {high:+.1f}"
    if ratios:
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        rate = (
            f"{median(one.rates):.1f} tokens/s, ratio in {len(ratios)} turns {median(ratios):.3f} ({spread})"
        )
        lines.append(f"{STREAMS} streams: {rate}")
    if prompts:
        before = written_by(one.daemon.pid)
        for number in range(prompts):
            one.wire.heard.clear()
            await one.ask(f"b{number}", "Turn the kitchen lights down to 30 percent", max_tokens=40)
        await asyncio.sleep(2)
        size = (written_by(one.daemon.pid) - before) / prompts
        day = f"{size * PER_DAY / 2**20:.0f} MiB for {PER_DAY} prompts"
        lines.append(f"written: {size / 1024:.1f} KiB a prompt, {day}")
    say("\n".join(lines))


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--prompts", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="on the disk that is meant")
    chosen = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="durable-cost", dir=chosen.pop("folder")) as folder:
        asyncio.run(measure(Path(folder), **chosen))


if __name__ == "__main__":
    main()
