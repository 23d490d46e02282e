"""The measurement: every side does the same work, in turns."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import count
from pathlib import Path

from edgeassist.bench.contender import CLIENTS, TIMEOUT_S, Contender, Question, collect
from edgeassist.bench.figures import (
    DEVICE,
    Comparison,
    Outcome,
    Repetition,
    Spread,
    compare,
    quietest,
    spread,
)
from edgeassist.bench.machine import Machine, read_machine
from edgeassist.bench.meter import CpuMeter, Watch
from edgeassist.bench.plan import Plan
from edgeassist.bench.reference import BareProcess
from edgeassist.bench.scenarios import (
    ATTEMPTS,
    CHUNK_CPU,
    DAEMON_MEMORY,
    DECODE,
    LEAST_STEPS,
    MEMORY,
    TTFT,
    Name,
    Scenario,
)
from edgeassist.bench.sides import make_sides
from edgeassist.bench.texts import Ruler, Texts
from edgeassist.bench.turns import UnsuitedError, pause
from edgeassist.errors import EdgeAssistError, ModelError

BARE = "bare loop"
# Key of `Contender.processes`.
DAEMON = "daemon"
# A repetition in which other programs took a larger share of the CPU time is measured again, up to
# TRIES_A_RUN times the runs asked for.
OTHERS_LIMIT = 0.03
TRIES_A_RUN = 3
INTERRUPTED = "the rest: the measurement was interrupted"
# Prompt lengths in words. Two suffice to find tokens per word and the template's overhead.
CALIBRATION = (16, 80)


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of one scenario.

    Attributes:
        scenario: The scenario.
        comparisons: Its figures.
        cpu: Percent of one core each process used while answering, by side; only where no process restarts.
        repetitions: The repetitions that count.
        others: Share of the machine's CPU time that other programs took during these, 0 to 1.
        disturbed: Number of repetitions left out because other programs took more.
    """

    scenario: Name
    comparisons: tuple[Comparison, ...]
    cpu: Mapping[str, dict[str, float]]
    repetitions: tuple[Repetition, ...]
    others: Spread
    disturbed: int


@dataclass(frozen=True, slots=True)
class Result:
    """The results for one model.

    Attributes:
        model: The file's name without its suffix.
        size_bytes: Size of the file or folder.
        scenarios: In the order they were measured.
        missing: What of the plan was not measured, and why, for a person.
        interrupted: Whether the measurement was cancelled.
        cpu_idle: Percent of one core while idle, by process; empty if not measured.
        builds: The version each side reports.
        machine: The machine it ran on.
    """

    model: str
    size_bytes: int
    scenarios: tuple[Measured, ...]
    missing: tuple[str, ...]
    interrupted: bool
    cpu_idle: dict[str, float]
    builds: Mapping[str, str]
    machine: Machine


async def measure(model: Path, plan: Plan, on_step: Callable[[str, int], None]) -> Result:
    """Measure one model.

    A cancellation ends the measurement and not the call: the result has what was measured until then. So
    does a scenario that can't be measured.

    Args:
        model: The GGUF file, or the folder of an ONNX model.
        plan: What to measure.
        on_step: Called at the start of each step with a description and the number of `plan.steps` done.

    Raises:
        EdgeAssistError: Nothing of it could be measured; the message says why.
        asyncio.CancelledError: It was cancelled before there was a figure.
    """
    with tempfile.TemporaryDirectory(prefix="edgeassist-bench-") as name:
        async with AsyncExitStack() as stack:
            bench = _Bench(model, plan, Path(name), on_step)
            for contender in bench.contenders:
                stack.push_async_callback(contender.stop)
            return await bench.run()


class _Bench:
    """One model's measurement; the caller stops the contenders."""

    def __init__(self, model: Path, plan: Plan, folder: Path, on_step: Callable[[str, int], None]) -> None:
        self._model = model
        self._plan = plan
        self._folder = folder
        self._on_step = on_step
        self._builds: dict[str, str] = {}
        self._meters: dict[str, CpuMeter] = {}
        self.contenders = make_sides(
            model,
            plan,
            folder,
            context=plan.context,
            slots=CLIENTS,
            threads=None if plan.governed else plan.threads,
        )
        self._device = self.contenders[0]

    async def run(self) -> Result:
        measured: list[Measured] = []
        missing: list[str] = []
        idle: dict[str, float] = {}
        interrupted = False
        done = 0
        try:
            for scenario in self._plan.chosen:
                repetitions: list[Repetition] = []
                try:
                    await self._measure(scenario, done, repetitions)
                except EdgeAssistError as error:
                    missing.append(f"{scenario.name}, after {len(repetitions)} runs: {error.message}")
                finally:
                    if repetitions:
                        measured.append(self._judge(scenario, repetitions))
                done += 1 + self._plan.runs * self._plan.sides(scenario.name)
            idle = await self._idle(done)
        except asyncio.CancelledError:
            if not measured:
                raise
            interrupted = True
            missing.append(INTERRUPTED)
        if not measured:
            raise ModelError("; ".join(missing))
        return Result(
            model=self._model.stem,
            size_bytes=size_of(self._model),
            scenarios=tuple(measured),
            missing=tuple(missing),
            interrupted=interrupted,
            cpu_idle=idle,
            builds=self._builds,
            machine=read_machine(library=library_of(self._model, self._builds[DEVICE])),
        )

    async def _measure(self, scenario: Scenario, done: int, repetitions: list[Repetition]) -> None:
        """Restart all sides and measure a scenario; `done` steps came before it.

        Adds each repetition when it is complete.
        """
        self._on_step(f"{scenario.name}: loading the model", done)
        for contender in self.contenders:
            await contender.start()
            await contender.settle()
        self._builds = self._builds or {each.name: await each.build() for each in self.contenders}
        ruler = await self._warm_up(scenario)
        self._meters = meters = {each.name: CpuMeter(each.processes) for each in self.contenders}
        runs, sides = self._plan.runs, self._plan.sides(scenario.name)
        async with AsyncExitStack() as stack:
            bare = await self._start_bare(stack) if self._plan.compares_bare(scenario.name) else None
            for number in range(runs * TRIES_A_RUN):
                quiet = sum(repetition.others <= OTHERS_LIMIT for repetition in repetitions)
                if quiet == runs:
                    break
                turns = count(done + 1 + sides * quiet)

                def step(side: str, quiet: int = quiet, turns: Iterator[int] = turns) -> None:
                    what = f"{scenario.name}, run {quiet + 1} of {runs}: {side}"
                    self._on_step(what, next(turns))

                watch = Watch()
                # A warm processor is a little faster, so the order of sides alternates.
                backwards = bool(number % 2)
                outcomes: dict[str, Outcome] = {}
                if bare is not None and backwards:
                    step(BARE)
                    outcomes[BARE] = await _ask_bare(bare, repetitions[-1].outcomes[DEVICE], number)
                seed = f"{scenario.name}/{number}"
                outcomes |= await self._repeat(scenario, seed, ruler, meters, step, backwards=backwards)
                if bare is not None and not backwards:
                    step(BARE)
                    outcomes[BARE] = await _ask_bare(bare, outcomes[DEVICE], number)
                repetitions.append(Repetition(outcomes, watch.others()))

    def _judge(self, scenario: Scenario, repetitions: list[Repetition]) -> Measured:
        """Return the figures of those repetitions that others disturbed least, at least one."""
        kept = quietest(repetitions, self._plan.runs)
        return Measured(
            scenario=scenario.name,
            comparisons=tuple(compare(figure, kept) for figure in scenario.figures),
            cpu={name: meter.percent for name, meter in self._meters.items() if meter.percent},
            repetitions=tuple(kept),
            others=spread(repetition.others for repetition in kept),
            disturbed=len(repetitions) - len(kept),
        )

    async def _warm_up(self, scenario: Scenario) -> Ruler:
        """Have every side answer once; return the tokens per word."""
        ruler = await measure_words(self._device, f"{scenario.name}/warm-up")
        texts = Texts(f"{scenario.name}/warm", ruler)
        question = Question(texts.question(self._plan.prompt_tokens), LEAST_STEPS)
        for contender in self.contenders:
            await collect(contender, question)
        return ruler

    async def _start_bare(self, stack: AsyncExitStack) -> BareProcess:
        plan = self._plan
        sizes = {"threads": plan.threads, "context": plan.context, "batch": plan.batch}
        bare = BareProcess(self._model, log=self._folder / "bare.log", **sizes)
        await stack.enter_async_context(bare)
        await bare.run(plan.prompt_tokens, LEAST_STEPS, seed=0)
        return bare

    async def _repeat(
        self,
        scenario: Scenario,
        seed: str,
        ruler: Ruler,
        meters: Mapping[str, CpuMeter],
        step: Callable[[str], None],
        *,
        backwards: bool,
    ) -> dict[str, Outcome]:
        """Return each side's outcome for the same texts; retry with new texts on `UnsuitedError`."""
        unsuited = UnsuitedError("")
        for attempt in range(ATTEMPTS):
            outcomes: dict[str, Outcome] = {}
            try:
                for contender in self.contenders[:: -1 if backwards else 1]:
                    await pause()
                    step(contender.name)
                    texts = Texts(f"{seed}/{attempt}", ruler)
                    outcomes[contender.name] = await _ask(scenario, contender, texts, meters[contender.name])
            except UnsuitedError as error:
                unsuited = error
            else:
                return outcomes
        raise unsuited

    async def _idle(self, done: int) -> dict[str, float]:
        """Return the CPU use while idle; empty if the plan doesn't ask for it."""
        if self._plan.idle_s <= 0:
            return {}
        await pause()
        self._on_step("doing nothing", done)
        meter = CpuMeter({n: p for contender in self.contenders for n, p in contender.processes.items()})
        meter.start()
        await asyncio.sleep(self._plan.idle_s)
        meter.stop()
        return meter.percent


async def measure_words(device: Contender, seed: str) -> Ruler:
    """Measure tokens per word with the model's own tokenizer."""
    texts = Texts(seed, Ruler(1.0, 0.0))
    measured = []
    for words in CALIBRATION:
        reply = await collect(device, Question(texts.asking(words), 1))
        measured.append((words, reply.end.prompt_tokens))
    return Ruler.of(measured)


def library_of(model: Path, build: str) -> str:
    """Return the library that runs a model, with its version; `build` is what the daemon reports."""
    return build if model.is_dir() else f"llama-cpp-python {version('llama-cpp-python')}: {build}"


def size_of(model: Path) -> int:
    """Return the size in bytes of a model's file, or of all files in its folder."""
    files = [model] if model.is_file() else [file for file in model.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


async def _ask(scenario: Scenario, contender: Contender, texts: Texts, meter: CpuMeter) -> Outcome:
    """Run a scenario on one side; CPU time is metered only where no process restarts on the way."""
    used = meter.used_s.get(DAEMON, 0.0)
    if scenario.name in {Name.SINGLE, Name.CONTENTION}:
        meter.start()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            outcome = await scenario.run(contender, texts)
    except TimeoutError:
        raise ModelError(f"{contender.name} did not end {scenario.name} within {TIMEOUT_S} s") from None
    meter.stop()
    values = {**outcome.values, MEMORY.name: contender.resident_bytes / 1e6}
    if DAEMON in contender.processes:
        values[DAEMON_MEMORY.name] = contender.processes[DAEMON].memory_info().rss / 1e6
        chunks = sum(answer.chunks for answer in outcome.answers)
        values[CHUNK_CPU.name] = 1e6 * (meter.used_s.get(DAEMON, 0.0) - used) / max(1, chunks)
    return replace(outcome, values=values)


async def _ask_bare(bare: BareProcess, device: Outcome, seed: int) -> Outcome:
    """Pause, then run the bare loop with the device's token counts."""
    await pause()
    answer = device.answers[0]
    steps = max(1, answer.completion_tokens - 1)
    sample = await bare.run(answer.prompt_tokens, steps, seed)
    return Outcome({DECODE.name: sample.decode_rate, TTFT.name: 1000 * sample.ttft_s})
