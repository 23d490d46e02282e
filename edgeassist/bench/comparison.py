"""Models side by side on this machine: load time, speed, processors, memory and size.

Models take turns and each run starts a fresh process: they never share memory, and drift affects all equally.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from edgeassist.bench.contender import Question, collect
from edgeassist.bench.device import Device
from edgeassist.bench.figures import Better, Comparison, Figure, spread
from edgeassist.bench.machine import Machine, read_machine
from edgeassist.bench.plan import HEADROOM, Plan
from edgeassist.bench.quality import quality_of, quality_rows
from edgeassist.bench.run import INTERRUPTED, library_of, measure_words, size_of
from edgeassist.bench.scenarios import DECODE, TTFT, single
from edgeassist.bench.texts import Ruler, Texts
from edgeassist.bench.turns import pause
from edgeassist.device import pages
from edgeassist.errors import EdgeAssistError
from edgeassist.evaluation.quality.report import Quality
from edgeassist.evaluation.quality.tasks import Task

LOAD = Figure("load", "s", Better.LOWER)
TOTAL = Figure("whole answer", "s", Better.LOWER)
CPU = Figure("processors, peak", "%", Better.LOWER)
MEMORY = Figure("memory, peak", "MB", Better.LOWER)
SIZE = Figure("size on disk", "MB", Better.LOWER)
FIGURES = (LOAD, TTFT, DECODE, TOTAL, CPU, MEMORY, SIZE)
_SAMPLE_S = 0.25


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to compare.

    Attributes:
        name: Its display name.
        path: Its GGUF file or model folder.
        is_random: Whether its weights are, so that no answer of it is worth a question.
    """

    name: str
    path: Path
    is_random: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """The results of a comparison.

    Attributes:
        comparisons: One per figure; the candidates are its sides.
        libraries: Inference library and version, by candidate.
        tokens: Tokens in and out of each run, by candidate.
        cold: True if the models' files were dropped from the page cache before each start.
        missing: Why runs of the plan are missing, for a person; None: none are.
        machine: The machine it ran on.
        quality: What came of the tasks, by candidate that was asked; `comparisons` has the counts, too.
    """

    comparisons: tuple[Comparison, ...]
    libraries: Mapping[str, str]
    tokens: Mapping[str, Sequence[tuple[int, int]]]
    cold: bool
    missing: str | None
    machine: Machine
    quality: Mapping[str, Quality] = field(default_factory=dict)


async def compare_models(
    candidates: Sequence[Candidate],
    plan: Plan,
    on_step: Callable[[str, int], None],
    tasks: Sequence[Task] = (),
) -> Compared:
    """Measure each model: start, one answer, stop, in turns. Then ask each the tasks.

    A cancellation, or a model that fails after its first run, ends the measurement and not the call: the
    result has the runs until then.

    Args:
        candidates: The models.
        plan: Tokens in and out, runs, threads, context.
        on_step: Called at the start of each run with a description and the number of runs done before, over
            all candidates, and of tasks.
        tasks: What is asked of each model that is not random, to count the right answers; empty: nothing.

    Raises:
        EdgeAssistError: A model can't be measured; the message says why.
        asyncio.CancelledError: It was cancelled before each model had run.
    """
    tries = {each.name: _Tries(each) for each in candidates}
    cold = True
    missing = None
    quality: dict[str, Quality] = {}
    try:
        for number in range(plan.runs):
            for at, candidate in enumerate(candidates):
                on_step(f"run {number + 1} of {plan.runs}: {candidate.name}", number * len(candidates) + at)
                cold &= forget(candidate.path)
                await _try(tries[candidate.name], plan, number)
        before = plan.runs * len(candidates)
        for candidate in candidates if tasks else ():
            if candidate.is_random:
                continue

            def step(what: str, done: int, name: str = candidate.name, before: int = before) -> None:
                on_step(f"{name}: {what}", before + done)

            quality[candidate.name] = found = await quality_of(candidate.path, plan, tasks, step)
            before += len(tasks)
            if found.missing is not None:
                missing = f"{candidate.name}: after {len(found.verdicts)} tasks: {found.missing}"
                break
    except (EdgeAssistError, asyncio.CancelledError) as error:
        if not all(each.tokens for each in tries.values()):
            raise
        missing = error.message if isinstance(error, EdgeAssistError) else INTERRUPTED
    return Compared(
        comparisons=tuple(
            Comparison(figure, {name: spread(each.values[figure.name]) for name, each in tries.items()})
            for figure in FIGURES
        )
        + quality_rows(quality),
        libraries={name: each.library for name, each in tries.items()},
        tokens={name: each.tokens for name, each in tries.items()},
        cold=cold,
        missing=missing,
        machine=read_machine(library=", ".join(dict.fromkeys(each.library for each in tries.values()))),
        quality=quality,
    )


@dataclass(slots=True)
class _Tries:
    """The runs of one candidate so far."""

    candidate: Candidate
    values: dict[str, list[float]] = field(default_factory=lambda: {each.name: [] for each in FIGURES})
    tokens: list[tuple[int, int]] = field(default_factory=list)
    library: str = ""
    ruler: Ruler | None = None


async def _try(tries: _Tries, plan: Plan, number: int) -> None:
    """Start one model, let it answer, and stop it."""
    path = tries.candidate.path
    context = plan.slot_tokens or plan.prompt_tokens + plan.max_tokens + HEADROOM
    with tempfile.TemporaryDirectory(prefix="edgeassist-bench-") as folder:
        device = Device(path, folder=Path(folder), threads=plan.threads, context=context, slots=1)
        try:
            load_s = await device.start()
            await device.settle()
            tries.library = tries.library or library_of(path, await device.build())
            if tries.ruler is None:
                tries.ruler = await measure_words(device, tries.candidate.name)
            # Warm-up: one-time costs of the process's first answer don't count.
            await collect(device, Question(Texts(f"warm/{number}", tries.ruler).question(64), 8))
            await pause()
            texts = Texts(f"compare/{number}", tries.ruler)
            async with Peaks(device.processes[name] for name in ("daemon", "engine")) as peaks:
                outcome = await single(
                    device, texts, prompt_tokens=plan.prompt_tokens, max_tokens=plan.max_tokens
                )
        finally:
            await device.stop()
    answer = outcome.answers[0]
    measured = {
        **outcome.values,
        LOAD.name: load_s,
        TOTAL.name: answer.total_ms / 1000,
        CPU.name: peaks.cpu_percent,
        MEMORY.name: peaks.memory_bytes / 1e6,
        SIZE.name: size_of(path) / 1e6,
    }
    for figure in FIGURES:
        tries.values[figure.name].append(measured[figure.name])
    tries.tokens.append((answer.prompt_tokens, answer.completion_tokens))


class Peaks:
    """Peak CPU and memory of a group of processes, sampled every `_SAMPLE_S`. An async context manager.

    Attributes:
        cpu_percent: Percent of all processors.
        memory_bytes: Resident memory; shared pages count once per process.
    """

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._processes = list(processes)
        self._task: asyncio.Task[None] | None = None
        self.cpu_percent = 0.0
        self.memory_bytes = 0

    async def __aenter__(self) -> Self:
        """Start sampling."""
        self._sample()  # psutil's first CPU reading has no earlier one to compare with
        self.cpu_percent = 0.0
        self._task = asyncio.create_task(self._keep_sampling(), name="peaks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take a last sample and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._sample()

    async def _keep_sampling(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self._sample()

    def _sample(self) -> None:
        with suppress(psutil.NoSuchProcess):
            used = sum(process.cpu_percent() for process in self._processes) / (psutil.cpu_count() or 1)
            resident = sum(int(process.memory_info().rss) for process in self._processes)
            # The kernel counts in ticks of 10 ms, so rounding can exceed 100 %.
            self.cpu_percent = max(self.cpu_percent, min(used, 100.0))
            self.memory_bytes = max(self.memory_bytes, resident)


def forget(path: Path) -> bool:
    """Drop a model's files from the page cache; return False if that failed for any of them."""
    return pages.forget([path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()])
