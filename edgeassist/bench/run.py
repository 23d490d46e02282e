"""The measurement: the same work through MQTT and in a bare loop, in turns, in one run."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from edgeassist.bench.device import Answer, BenchDevice
from edgeassist.bench.figures import Comparison, Pair, Spread, compare, quietest, spread
from edgeassist.bench.machine import Machine, read_machine
from edgeassist.bench.meter import CpuMeter
from edgeassist.bench.reference import BareProcess
from edgeassist.errors import ModelError
from edgeassist.settings.schema import EngineSettings, ModelSettings

# The daemon's last words about a request, and the spinning of OpenMP's threads, end well within this.
PAUSE_S = 1.2
# A prompt whose answer ended early, or began with half a character, is replaced so many times.
ATTEMPTS = 5
LEAST_STEPS = 8
# What other programs may take of the machine's processor time; a pair with more is measured again, as long as
# there are no more than so many pairs for each that was asked for.
OTHERS_LIMIT = 0.03
PAIRS_A_RUN = 3
# What the prompt may be over its target, and the chat template adds.
HEADROOM = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: tokens in, the most tokens out, pairs of runs, threads, seconds of doing nothing."""

    prompt_tokens: int
    max_tokens: int
    runs: int
    threads: int
    idle_s: float

    @property
    def context(self) -> int:
        """Tokens that both sides make room for: the daemon's default, or as many as it takes."""
        return max(ModelSettings().context, self.prompt_tokens + self.max_tokens + HEADROOM)

    @property
    def batch(self) -> int:
        """The most prompt tokens of one forward pass: the daemon's default."""
        return EngineSettings().step_tokens

    @property
    def steps(self) -> int:
        """The steps that `measure` counts its progress in."""
        return 2 + 2 * self.runs + (self.idle_s > 0)


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured with one model.

    Attributes:
        model: The file's name without its suffix.
        size_bytes: Of the file.
        prompt_tokens: In each prompt.
        decode_tokens_per_s: After the first token.
        ttft_ms: To the first token.
        cpu_answering: Percent of one core, by process, while the daemon answered.
        cpu_idle: Percent of one core, by process, while nobody asked; empty where that was not measured.
        others: Of the machine's processor time, what programs not measured took during each pair, 0 to 1.
        pairs: All that the figures come from.
        disturbed: How many more were measured and left out, because other programs took more meanwhile.
        machine: Where it was.
    """

    model: str
    size_bytes: int
    prompt_tokens: Spread
    decode_tokens_per_s: Comparison
    ttft_ms: Comparison
    cpu_answering: dict[str, float]
    cpu_idle: dict[str, float]
    others: Spread
    pairs: tuple[Pair, ...]
    disturbed: int
    machine: Machine


async def measure(model: Path, plan: Plan, on_step: Callable[[str, int], None]) -> Result:
    """Measure one model.

    Args:
        model: The GGUF file.
        plan: What.
        on_step: Told what begins, in words, and how many of `plan.steps` are done.

    Raises:
        EdgeAssistError: It can't be measured; the message says why.
    """
    with tempfile.TemporaryDirectory(prefix="edgeassist-bench-") as name:
        folder = Path(name)
        sizes = {"threads": plan.threads, "context": plan.context, "batch": plan.batch}
        on_step("loading the model twice", 0)
        async with (
            BareProcess(model, log=folder / "bare.log", **sizes) as bare,
            BenchDevice(model, folder=folder, **sizes) as device,
        ):
            on_step("warming up", 1)
            words = await device.calibrate(plan.prompt_tokens)
            warm = await device.ask(words, LEAST_STEPS)
            await bare.run(warm.prompt_tokens, LEAST_STEPS, seed=0)
            processes = {**device.processes, "bare": psutil.Process(bare.pid)}
            answering = CpuMeter(device.processes)
            pairs: list[Pair] = []
            for number in range(plan.runs * PAIRS_A_RUN):
                quiet = sum(pair.others <= OTHERS_LIMIT for pair in pairs)
                if quiet == plan.runs:
                    break
                around = CpuMeter(processes)
                around.start()
                await asyncio.sleep(PAUSE_S)
                on_step(f"run {quiet + 1} of {plan.runs}, through MQTT", 2 + 2 * quiet)
                answer = await _ask(device, words, plan.max_tokens, answering)
                await asyncio.sleep(PAUSE_S)
                on_step(f"run {quiet + 1} of {plan.runs}, bare", 3 + 2 * quiet)
                sample = await bare.run(answer.prompt_tokens, answer.sample.steps, seed=number)
                around.stop()
                pairs.append(
                    Pair(answer.prompt_tokens, answer.cached_tokens, answer.sample, sample, around.others)
                )
            idle = CpuMeter(processes)
            if plan.idle_s > 0:
                await asyncio.sleep(PAUSE_S)
                on_step("doing nothing", 2 + 2 * plan.runs)
                idle.start()
                await asyncio.sleep(plan.idle_s)
                idle.stop()
            facts = bare.facts
    kept = quietest(pairs, plan.runs)
    return Result(
        model=model.stem,
        size_bytes=model.stat().st_size,
        prompt_tokens=spread(pair.prompt_tokens for pair in kept),
        decode_tokens_per_s=compare(kept, lambda sample: sample.decode_rate),
        ttft_ms=compare(kept, lambda sample: sample.ttft_s * 1000),
        cpu_answering=answering.percent,
        cpu_idle=idle.percent,
        others=spread(pair.others for pair in kept),
        pairs=tuple(kept),
        disturbed=len(pairs) - len(kept),
        machine=read_machine(binding=facts["binding"], system=facts["system"]),
    )


async def _ask(device: BenchDevice, words: int, max_tokens: int, meter: CpuMeter) -> Answer:
    """Ask until an answer can be measured; what is chosen by is what it says, never how long it took."""
    best: Answer | None = None
    for _ in range(ATTEMPTS):
        meter.start()
        answer = await device.ask(words, max_tokens)
        meter.stop()
        if answer.clean and (best is None or answer.sample.steps > best.sample.steps):
            best = answer
        if best is not None and best.sample.steps >= max_tokens // 2:
            return best
    if best is None or best.sample.steps < min(LEAST_STEPS, max_tokens - 1):
        raise ModelError("the model ends its answers at once, which leaves no rate to measure: try another")
    return best
