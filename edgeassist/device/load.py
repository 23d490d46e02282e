"""Samples what the governor needs: cores, load of other programs, heat and power."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import psutil

from edgeassist.device.cgroups import CpuQuota
from edgeassist.device.cores import CpuSnapshot, ThreadChoice, choose_threads, fast_cores
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.files import ROOT
from edgeassist.device.firmware import Firmware, ThrottledFlags
from edgeassist.device.governor import Reading
from edgeassist.device.heat import heat_limit_c
from edgeassist.device.thermal import cpu_temperature_c

# Indices into a line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal (proc(5)). Time
# stolen by the hypervisor does not count: fewer threads would not give it back.
_WORKED = (0, 1, 2, 5, 6)
_CPU_LINE = re.compile(r"^cpu(\d+)((?: \d+){7,})", re.MULTILINE)
# Over a shorter time, the kernel's ticks of 10 ms are too coarse.
_LEAST_S = 0.1
# While idle, quota, affinity, heat and power are read at most once per this many seconds.
SLOW_S = 1.0


class OthersMeter:
    """Measures how much of some processors other programs used since the last reading."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._key: tuple[int, frozenset[int]] | None = None
        self._then = (0.0, 0.0)

    def read(self, pid: int, cpus: frozenset[int], at: float) -> float | None:
        """Return their use as a number of cores; None for the first reading, or if it can't be measured.

        Args:
            pid: The process whose own use does not count.
            cpus: The logical processors.
            at: The present monotonic time in seconds.
        """
        used = self._used_s(pid, cpus)
        if used is None:
            self._key = None
            return None
        known, self._key = self._key, (pid, cpus)
        begun, before = self._then
        if known == self._key and at - begun < _LEAST_S:
            return None
        self._then = at, used
        return max(0.0, used - before) / (at - begun) if known == self._key else None

    def _used_s(self, pid: int, cpus: frozenset[int]) -> float | None:
        """Return the processor seconds used by all programs but one."""
        try:
            own = psutil.Process(pid).cpu_times()
            stat = (self._root / "proc/stat").read_text(encoding="ascii")
        except (psutil.Error, OSError, ValueError):
            return None
        ticks = 0
        for match in _CPU_LINE.finditer(stat):
            if int(match[1]) in cpus:
                fields = match[2].split()
                ticks += sum(int(fields[index]) for index in _WORKED)
        return ticks / os.sysconf("SC_CLK_TCK") - own.user - own.system


class Sampler:
    """Reads everything that the governor needs.

    Args:
        threads: The configured number of threads; None to derive it from the device.
        flags: Reads the firmware's power and heat flags; None to read them below `root`.
        root: The root of the file tree to read.
    """

    def __init__(
        self,
        threads: int | None = None,
        flags: Callable[[], ThrottledFlags | None] | None = None,
        root: Path = ROOT,
    ) -> None:
        self._threads = threads
        self._flags = flags or Firmware(root).read
        self._root = root
        self._others = OthersMeter(root)
        self._quota = CpuQuota(root)
        self._snapshot: CpuSnapshot | None = None
        self._known: tuple[ThreadChoice, Reading, frozenset[int]] | None = None

    @cached_property
    def _limit_c(self) -> float | None:
        return heat_limit_c(self._root)

    def read(self, pid: int | None, *, running: bool) -> tuple[ThreadChoice, Reading]:
        """Return the threads that cores, affinity and quota allow, or that are configured, and the reading.

        Args:
            pid: The engine's process, whose affinity counts; None without one.
            running: Whether answers run; if not, what changes slowly is read every `SLOW_S` only.
        """
        now = time.monotonic()
        if running or self._known is None or now - self._known[1].at >= SLOW_S:
            self._known = self._read_slow(pid, now)
        choice, reading, cpus = self._known
        others = None if pid is None else self._others.read(pid, cpus, now)
        return choice, replace(reading, at=now, others=others, running=running)

    def _read_slow(self, pid: int | None, now: float) -> tuple[ThreadChoice, Reading, frozenset[int]]:
        """Return all but the use by others, and the processors on which that is measured."""
        snapshot = self._snapshot = read_cpu_snapshot(self._root, pid or 0, self._snapshot, self._quota)
        choice = choose_threads(snapshot, self._threads)
        cores = fast_cores(snapshot)
        flags = self._flags()
        reading = Reading(
            at=now,
            most=choice.threads,
            cores=cores.count,
            temperature_c=cpu_temperature_c(self._root),
            limit_c=self._limit_c,
            throttled=flags is not None and bool(flags.throttled),
            under_voltage=flags is not None and flags.under_voltage,
        )
        return choice, reading, cores.cpus
