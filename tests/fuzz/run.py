"""Runs children that try inputs, replaces one that dies or hangs, and keeps what was found."""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.fuzz.record import SIZE, Record, Trial

ROOT = Path(__file__).parents[2]
# Git ignores it.
FAILURES = ROOT / "build" / "fuzz"
# An input that takes longer hangs: of the child's processor time, or of any, where it waits for something.
HANG_CPU_S = 20.0
HANG_S = 120.0
# Imports and seeds.
_START_S = 120.0
_LOOK_S = 0.5
_TELL_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What was found.

    Attributes:
        target: Its name.
        kind: The exception's class, `Slow`, `Hang`, or how the process ended.
        message: Its text.
        places: The last lines of ours on the way there.
        file: Where the input is kept.
    """

    target: str
    kind: str
    message: str
    places: tuple[str, ...]
    file: Path

    def is_like(self, other: Fault) -> bool:
        """Whether both are probably one."""
        ours = (self.target, self.kind, self.places[-1:])
        return ours == (other.target, other.kind, other.places[-1:])

    def __str__(self) -> str:
        """Return what a person needs."""
        where = " ".join(self.places)
        return (
            f"{self.target}: {self.kind}: {self.message}\n    {where}\n"
            f"    python -m tests.fuzz --replay {self.file}"
        )


@dataclass
class Report:
    """What came of a run.

    Attributes:
        seed: With which it can be run again.
        tried: Inputs by target, with how many came to something new, and seconds of processor time.
        memory: How many inputs a child had tried, and its memory in bytes without the inputs that it keeps,
            once in a second of its processor time; a new child begins a new list.
        held: The most bytes that a child's kept inputs took.
        faults: What was found.
    """

    seed: int
    tried: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    memory: list[list[tuple[int, int]]] = field(default_factory=list)
    held: int = 0
    faults: list[Fault] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def inputs(self) -> int:
        """How many were tried."""
        return sum(count for count, _, _ in self.tried.values())

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time that the targets took."""
        return sum(spent for _, _, spent in self.tried.values())

    def growth(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return `memory` early and late in the longest-lived child; None where it was too short.

        Early is when a fifth of its time has gone: before that the caches of what is tried fill. Both are
        medians of a tenth of its time.
        """
        longest = max(self.memory, key=len, default=[])
        if len(longest) < 10:
            return None
        part = max(1, len(longest) // 10)
        return _middle(longest[2 * part : 3 * part]), _middle(longest[-part:])


def _middle(samples: Sequence[tuple[int, int]]) -> tuple[int, int]:
    counts, sizes = zip(*samples, strict=True)
    return int(median(counts)), int(median(sizes))


def run(
    targets: Sequence[str],
    *,
    seconds: float,
    seed: int,
    registry: str = "tests.fuzz.targets",
    say: Callable[[str], None] = lambda _line: None,
    folder: Path = FAILURES,
    hang_cpu_s: float = HANG_CPU_S,
    enough: Callable[[Report], bool] = lambda _report: False,
) -> Report:
    """Try inputs for so long.

    Args:
        targets: Their names.
        seconds: Of real time, from when the first child is ready.
        seed: Of all that is random.
        registry: The module whose `all_targets` has them.
        say: Told of faults at once, and of figures every minute.
        folder: Where inputs are kept that failed.
        hang_cpu_s: What takes more processor time than that hangs.
        enough: Whether that is all that is wanted, before time is up.
    """
    report = Report(seed)
    following = _Run(targets, report, say, folder, enough=enough)
    until: float | None = None
    begun = time.monotonic()
    lives = 0
    with tempfile.TemporaryFile() as page:
        page.truncate(SIZE)
        with Record(page.fileno()) as record:
            while (until is None or time.monotonic() < until) and not enough(report):
                child = _Child([registry, *targets], seed + lives, page.fileno(), record, hang_cpu_s)
                lives += 1
                try:
                    child.wait_ready()
                    if until is None:
                        begun = time.monotonic()
                        until = begun + seconds
                    following.follow(child, until)
                except KeyboardInterrupt:  # what was found is told all the same
                    until = 0.0
                finally:
                    child.stop()
    report.took_s = time.monotonic() - begun
    return report


class _Child:
    """One process that tries inputs."""

    def __init__(
        self, targets: Sequence[str], seed: int, page: int, record: Record, hang_cpu_s: float
    ) -> None:
        self.record = record
        self._hang_cpu_s = hang_cpu_s
        # Not a pipe, which nobody empties: a child that writes much would wait for ever.
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._first = record.count
        # The same seed is to bring the same inputs: which outcomes are known goes by their hashes.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "PYTHONFAULTHANDLER": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.child", str(page), str(seed), *targets],
            stdout=subprocess.PIPE,
            stderr=self._words,
            stdin=subprocess.DEVNULL,
            pass_fds=[page],
            cwd=ROOT,
            env=environment,
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._rest = b""
        self._moved_at = time.monotonic()
        self._moved_cpu = 0.0
        self._count = record.count

    def wait_ready(self) -> None:
        """Wait until it tries its first input.

        Raises:
            RuntimeError: It does not start.
        """
        until = time.monotonic() + _START_S
        while self.record.count == self._first:
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the child does not start: {self.words()}")
            time.sleep(0.05)

    def lines(self) -> list[dict[str, Any]]:
        """Return what it said, after at most `_LOOK_S`."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(_LOOK_S):
                return []
        *lines, self._rest = (self._rest + (self.process.stdout.read() or b"")).split(b"\n")
        return [json.loads(line) for line in lines]

    def hangs(self) -> bool:
        """Whether one input takes too long."""
        count, now = self.record.count, time.monotonic()
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return False
        cpu = times.user + times.system
        if count != self._count:
            self._count, self._moved_at, self._moved_cpu = count, now, cpu
        return cpu - self._moved_cpu > self._hang_cpu_s or now - self._moved_at > HANG_S

    def words(self) -> str:
        """Return the end of what it wrote to its standard error; for a process that ended."""
        self.process.kill()
        self.process.wait()
        self._words.seek(0)
        return self._words.read().decode(errors="replace")[-1500:]

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._words.close()
        if self.process.stdout is not None:
            self.process.stdout.close()


class _Run:
    """What children do comes together here.

    Args:
        targets: As `run`.
        report: Filled.
        say: As `run`.
        folder: As `run`.
        enough: As `run`.
    """

    def __init__(
        self,
        targets: Sequence[str],
        report: Report,
        say: Callable[[str], None],
        folder: Path,
        *,
        enough: Callable[[Report], bool],
    ) -> None:
        self._targets = targets
        self._enough = enough
        self._report = report
        self._say = say
        self._folder = folder
        self._before: dict[str, tuple[int, int, float]] = {}
        self._told_at = time.monotonic()

    def follow(self, child: _Child, until: float) -> None:
        """Follow a child until time is up, or it has died or hung."""
        self._before = dict(self._report.tried)
        self._report.memory.append([])
        while time.monotonic() < until and not self._enough(self._report):
            ended = child.process.poll()
            for line in child.lines():
                self._take(line)
            if ended is not None:
                self._note_end(child.record.read(), f"ended by {ended}", child.words())
                return
            if child.hangs():
                self._note_end(child.record.read(), "Hang", "it has no end")
                return
            if time.monotonic() - self._told_at > _TELL_S:
                self._told_at = time.monotonic()
                self._say(f"{self._report.inputs:,} inputs, {len(self._report.faults)} faults")

    def _take(self, line: dict[str, Any]) -> None:
        if line["kind"] == "fault":
            fault = Fault(line["target"], line["error"], line["message"], tuple(line["places"]), self._folder)
            self._note(fault, bytes.fromhex(line["data"]))
            return
        for name, (tried, found, spent) in line["tried"].items():
            earlier = self._before.get(name, (0, 0, 0.0))
            self._report.tried[name] = (tried + earlier[0], found + earlier[1], spent + earlier[2])
        count = sum(tried for tried, _, _ in line["tried"].values())
        self._report.memory[-1].append((count, line["memory"] - line["held"]))
        self._report.held = max(self._report.held, line["held"])

    def _note_end(self, trial: Trial, kind: str, message: str) -> None:
        """Note an input that ended its process, or stopped it."""
        self._note(Fault(self._targets[trial.target], kind, message, (), self._folder), trial.data)

    def _note(self, fault: Fault, data: bytes) -> None:
        """Keep a fault with its input, unless one like it is kept."""
        if any(fault.is_like(each) for each in self._report.faults):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{fault.target}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
        file.write_bytes(data)
        fault = replace(fault, file=file)
        self._report.faults.append(fault)
        self._say(str(fault))
