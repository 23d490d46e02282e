"""What the device gives at the moment, read from its sensors."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import psutil

from edgeassist.device.cores import CpuSnapshot, ThreadChoice, choose_threads, fast_cores
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.files import ROOT
from edgeassist.device.firmware import Firmware, ThrottledFlags
from edgeassist.device.governor import Reading
from edgeassist.device.heat import heat_limit_c
from edgeassist.device.thermal import cpu_temperature_c

# What follows in a line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal (proc(5)). The
# hypervisor's part, steal, is not ours to leave to others.
_WORKED = (0, 1, 2, 5, 6)
_CPU_LINE = re.compile(r"^cpu(\d+)((?: \d+){7,})", re.MULTILINE)
# Shorter than that, the kernel's ticks of 10 ms say little.
_LEAST_S = 0.1
# How old quota, affinity, heat and power may be while no answer runs, in seconds.
SLOW_S = 1.0


class OthersMeter:
    """Tells how much of some processors other programs used since it was asked last."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._key: tuple[int, frozenset[int]] | None = None
        self._then = (0.0, 0.0)

    def read(self, pid: int, cpus: frozenset[int], at: float) -> float | None:
        """Return it in cores' worth; None at the first time, and where it can't be known.

        Args:
            pid: Whose own use does not count.
            cpus: The logical processors.
            at: Now, in seconds of a clock that never goes back.
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
        """Return the processor seconds of all programs but one."""
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
    """Reads all that the governor goes by.

    Args:
        threads: A number that is configured; None: the device decides.
        flags: Reads what the firmware says of power and heat; None: from that tree.
        root: Of the tree that is read.
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
        self._snapshot: CpuSnapshot | None = None
        self._known: tuple[ThreadChoice, Reading, frozenset[int]] | None = None

    @cached_property
    def _limit_c(self) -> float | None:
        return heat_limit_c(self._root)

    def read(self, pid: int | None, *, running: bool) -> tuple[ThreadChoice, Reading]:
        """Return the threads that cores, affinity and quota give, or are configured, and the whole reading.

        Args:
            pid: The engine, whose affinity counts; None while there is none.
            running: Whether answers run; while none does, what changes slowly is read now and then only.
        """
        now = time.monotonic()
        if running or self._known is None or now - self._known[1].at >= SLOW_S:
            self._known = self._read_slow(pid, now)
        choice, reading, cpus = self._known
        others = None if pid is None else self._others.read(pid, cpus, now)
        return choice, replace(reading, at=now, others=others, running=running)

    def _read_slow(self, pid: int | None, now: float) -> tuple[ThreadChoice, Reading, frozenset[int]]:
        """Return all but what others use, and the processors that count."""
        snapshot = self._snapshot = read_cpu_snapshot(self._root, pid or 0, self._snapshot)
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
