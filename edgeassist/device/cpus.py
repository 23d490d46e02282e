"""Reads the processors: topology, affinity, frequencies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeassist.device.cgroups import CpuQuota
from edgeassist.device.cores import CpuSnapshot, LogicalCpu
from edgeassist.device.files import ROOT, at_least, read_int, read_text

_MAX_CPU_NUMBER = 8191  # NR_CPUS is at most 8192 (Linux, arch/x86/Kconfig)


def read_cpu_snapshot(
    root: Path = ROOT, pid: int = 0, before: CpuSnapshot | None = None, quota: CpuQuota | None = None
) -> CpuSnapshot:
    """Read an affinity mask and the processors in it.

    Args:
        root: The root of the file tree to read.
        pid: The thread whose mask is read; 0, or one that has ended, stands for the calling thread.
        before: An earlier snapshot; with the same mask, its processors are reused.
        quota: Reads the quota, to save finding the cgroups again.
    """
    quota = quota or CpuQuota(root)
    try:
        allowed = frozenset(os.sched_getaffinity(pid))
    except ProcessLookupError:
        allowed = frozenset(os.sched_getaffinity(0))
    if before is not None and before.allowed == allowed:
        return CpuSnapshot(allowed, before.cpus, quota.read())
    performance = _read_cpu_list(root / "sys/devices/cpu_core/cpus")
    cpus = tuple(_read_cpu(root, number, performance) for number in sorted(allowed))
    return CpuSnapshot(allowed, cpus, quota.read())


@dataclass(frozen=True, slots=True)
class FrequencyPolicy:
    """A cpufreq policy, which holds for one or more processors; None if the kernel does not tell.

    Attributes:
        limit_khz: The highest frequency allowed at the moment.
        max_khz: The highest frequency of the hardware.
    """

    governor: str | None
    driver: str | None
    limit_khz: int | None
    max_khz: int | None


def fastest_policy_folder(root: Path = ROOT) -> Path | None:
    """Return the cpufreq policy of the fastest processors; None without cpufreq."""
    folders = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
    return max(folders, key=lambda folder: read_int(folder / "cpuinfo_max_freq") or 0, default=None)


def frequency_mhz(policy: Path) -> int | None:
    """Return the current frequency of a policy's processors."""
    khz = at_least(1, read_int(policy / "scaling_cur_freq"))
    return None if khz is None else round(khz / 1000)


def read_frequency_policies(root: Path = ROOT) -> tuple[FrequencyPolicy, ...]:
    """Read all cpufreq policies; empty without cpufreq."""
    return tuple(_read_policies(root))


def _read_policies(root: Path) -> Iterator[FrequencyPolicy]:
    for folder in sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*")):
        yield FrequencyPolicy(
            governor=read_text(folder / "scaling_governor"),
            driver=read_text(folder / "scaling_driver"),
            limit_khz=at_least(1, read_int(folder / "scaling_max_freq")),
            max_khz=at_least(1, read_int(folder / "cpuinfo_max_freq")),
        )


def _read_cpu(root: Path, number: int, performance: frozenset[int] | None) -> LogicalCpu:
    directory = root / f"sys/devices/system/cpu/cpu{number}"
    topology = directory / "topology"
    # thread_siblings_list is the name before Linux 5.2, and an alias since.
    siblings = _read_cpu_list(topology / "core_cpus_list") or _read_cpu_list(
        topology / "thread_siblings_list"
    )
    return LogicalCpu(
        number=number,
        package=at_least(0, read_int(topology / "physical_package_id")),
        core=at_least(0, read_int(topology / "core_id")),
        siblings=siblings if siblings is not None and number in siblings else None,
        capacity=at_least(1, read_int(directory / "cpu_capacity")),
        max_frequency_khz=at_least(1, read_int(directory / "cpufreq/cpuinfo_max_freq")),
        performance_core=None if performance is None else number in performance,
    )


def _read_cpu_list(path: Path) -> frozenset[int] | None:
    """Read a list such as 0-3,8; None if it is missing or garbled."""
    numbers: set[int] = set()
    for part in (read_text(path) or "").split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if match is None or int(match[2] or match[1]) > _MAX_CPU_NUMBER:
            return None
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(numbers)
