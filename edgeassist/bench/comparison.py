"""Models side by side on this machine: what somebody who chooses one wants to know of each.

Each is started afresh for every run, in turns, so that they never share memory and drift hits all alike.
"""

from __future__ import annotations

import asyncio
import os
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
from edgeassist.bench.run import library_of, measure_words, size_of
from edgeassist.bench.scenarios import DECODE, TTFT, pause, single
from edgeassist.bench.texts import Ruler, Texts

LOAD = Figure("load", "s", Better.LOWER)
TOTAL = Figure("whole answer", "s", Better.LOWER)
CPU = Figure("processors, peak", "%", Better.LOWER)
MEMORY = Figure("memory, peak", "MB", Better.LOWER)
SIZE = Figure("size on disk", "MB", Better.LOWER)
FIGURES = (LOAD, TTFT, DECODE, TOTAL, CPU, MEMORY, SIZE)
_SAMPLE_S = 0.25


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to compare: what it is called, and its GGUF file or model folder."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Compared:
    """What was measured.

    Attributes:
        comparisons: Of each figure, by candidate.
        libraries: What computed each candidate.
        tokens: Of each candidate's answers: tokens in and out, run by run.
        cold: Whether the models' files had left the page cache before each start.
        machine: Where it was.
    """

    comparisons: tuple[Comparison, ...]
    libraries: Mapping[str, str]
    tokens: Mapping[str, Sequence[tuple[int, int]]]
    cold: bool
    machine: Machine


async def compare_models(
    candidates: Sequence[Candidate], plan: Plan, on_step: Callable[[str, int], None]
) -> Compared:
    """Measure each model: start, one answer, stop, in turns.

    Args:
        candidates: Which.
        plan: Tokens in and out, runs, threads, context.
        on_step: Told what begins, in words, and how many of `runs` times `candidates` are done.

    Raises:
        EdgeAssistError: One can't be measured; the message says why.
    """
    tries = {each.name: _Tries(each) for each in candidates}
    cold = True
    for number in range(plan.runs):
        for at, candidate in enumerate(candidates):
            on_step(f"run {number + 1} of {plan.runs}: {candidate.name}", number * len(candidates) + at)
            cold &= forget(candidate.path)
            await _try(tries[candidate.name], plan, number)
    return Compared(
        comparisons=tuple(
            Comparison(figure, {name: spread(each.values[figure.name]) for name, each in tries.items()})
            for figure in FIGURES
        ),
        libraries={name: each.library for name, each in tries.items()},
        tokens={name: each.tokens for name, each in tries.items()},
        cold=cold,
        machine=read_machine(library=", ".join(dict.fromkeys(each.library for each in tries.values()))),
    )


@dataclass(slots=True)
class _Tries:
    """What was measured of one candidate so far."""

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
            # What the first answer of a process alone pays for is no matter of the model.
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
    """The most that some processes took together, looked at four times a second. An async context manager.

    Attributes:
        cpu_percent: Of all processors.
        memory_bytes: Resident; what they share counts twice.
    """

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._processes = list(processes)
        self._task: asyncio.Task[None] | None = None
        self.cpu_percent = 0.0
        self.memory_bytes = 0

    async def __aenter__(self) -> Self:
        """Begin to look."""
        self._look()  # the first look at processor time has nothing to compare with
        self.cpu_percent = 0.0
        self._task = asyncio.create_task(self._keep_looking(), name="peaks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look once more, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._look()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self._look()

    def _look(self) -> None:
        with suppress(psutil.NoSuchProcess):
            used = sum(process.cpu_percent() for process in self._processes) / (psutil.cpu_count() or 1)
            resident = sum(int(process.memory_info().rss) for process in self._processes)
            # The kernel counts in hundredths of a second, which may come to more than there was.
            self.cpu_percent = max(self.cpu_percent, min(used, 100.0))
            self.memory_bytes = max(self.memory_bytes, resident)


def forget(path: Path) -> bool:
    """Ask the kernel to drop a model's files from the page cache; False where one could not be asked for."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    for file in files:
        try:
            descriptor = os.open(file, os.O_RDONLY)
        except OSError:
            return False
        try:
            os.fsync(descriptor)  # pages that are not on disk yet can't be dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            return False
        finally:
            os.close(descriptor)
    return bool(files)
