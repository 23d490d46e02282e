"""CPU time of the measured processes and of the whole machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from edgeassist.bench.figures import share_of_others


@dataclass(slots=True)
class CpuMeter:
    """Adds up CPU seconds over any number of intervals between `start` and `stop`.

    Attributes:
        processes: By name; they must outlive the meter.
        used_s: CPU seconds by name.
        wall_s: Elapsed seconds.
    """

    processes: Mapping[str, psutil.Process]
    used_s: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    _at: tuple[float, dict[str, float]] | None = None

    def start(self) -> None:
        """Begin an interval."""
        self._at = self._read()

    def stop(self) -> None:
        """End the interval; does nothing if none began."""
        if self._at is None:
            return
        (wall, used), (then, used_then) = self._read(), self._at
        self._at = None
        self.wall_s += wall - then
        for name, seconds in used.items():
            self.used_s[name] = self.used_s.get(name, 0.0) + seconds - used_then[name]

    @property
    def percent(self) -> dict[str, float]:
        """Percent of one core, by name."""
        return {name: round(100 * used / self.wall_s, 2) for name, used in self.used_s.items() if self.wall_s}

    def _read(self) -> tuple[float, dict[str, float]]:
        used = {}
        for name, process in self.processes.items():
            used[name] = cpu_s(process)
        return time.perf_counter(), used


_SCHEDSTAT = Path("/proc/self/schedstat")


def cpu_s(process: psutil.Process) -> float:
    """Return a process's CPU seconds: to the nanosecond if the kernel has schedstat, else in clock ticks.

    schedstat covers living threads only, so the time of ended threads is missing.
    """
    if not _SCHEDSTAT.exists():
        times = process.cpu_times()
        return float(times.user + times.system)
    total = 0
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Watch:
    """Measures, from its creation on, the CPU time of all but this process and its descendants."""

    def __init__(self) -> None:
        self._begun, self._busy, self._ours = time.perf_counter(), machine_s(), family_s()

    def others(self) -> float:
        """Return their share of the machine's CPU time, 0 to 1."""
        capacity = (time.perf_counter() - self._begun) * (psutil.cpu_count() or 1)
        return share_of_others(machine_s() - self._busy, family_s() - self._ours, capacity)


def machine_s() -> float:
    """Return the machine's busy CPU seconds since boot."""
    machine = psutil.cpu_times()
    return float(sum(machine) - machine.idle - machine.iowait - machine.guest - machine.guest_nice)


def family_s() -> float:
    """Return the CPU seconds of this process and its descendants, including reaped ones."""
    this = psutil.Process()
    total = 0.0
    for process in [this, *this.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])  # user, system, children's user, children's system
    return total
