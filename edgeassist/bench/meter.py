"""Processor time: of the processes that are measured, and of the whole machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from edgeassist.bench.figures import share_of_others


@dataclass(slots=True)
class CpuMeter:
    """Adds up processor seconds between `start` and `stop`, over any number of such stretches.

    Attributes:
        processes: By name. This process belongs there as well, if it is not to count as another.
        used_s: Processor seconds by name.
        wall_s: Seconds.
        busy_s: Processor seconds of the whole machine.
    """

    processes: Mapping[str, psutil.Process]
    used_s: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    busy_s: float = 0.0
    _at: tuple[float, float, dict[str, float]] | None = None

    def start(self) -> None:
        """Begin a stretch."""
        self._at = self._read()

    def stop(self) -> None:
        """End the stretch; does nothing where none began."""
        if self._at is None:
            return
        (wall, busy, used), (then, busy_then, used_then) = self._read(), self._at
        self._at = None
        self.wall_s += wall - then
        self.busy_s += busy - busy_then
        for name, seconds in used.items():
            self.used_s[name] = self.used_s.get(name, 0.0) + seconds - used_then[name]

    @property
    def percent(self) -> dict[str, float]:
        """Of one core, by name."""
        return {name: round(100 * used / self.wall_s, 2) for name, used in self.used_s.items() if self.wall_s}

    @property
    def others(self) -> float:
        """Of the machine's processor time, what other programs took; 0 to 1."""
        capacity = self.wall_s * (psutil.cpu_count() or 1)
        return share_of_others(self.busy_s, sum(self.used_s.values()), capacity)

    def _read(self) -> tuple[float, float, dict[str, float]]:
        machine = psutil.cpu_times()
        busy = sum(machine) - machine.idle - machine.iowait - machine.guest - machine.guest_nice
        used = {}
        for name, process in self.processes.items():
            times = process.cpu_times()
            used[name] = times.user + times.system
        return time.perf_counter(), busy, used
