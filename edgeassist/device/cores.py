"""How many threads to compute with: a function of a snapshot. Sans-I/O.

Decode is bound by memory, and its threads meet at a barrier after every operation. So one thread too many
costs far more than one too few: a second SMT sibling gains nothing, a little core delays the big ones, and
with a thread above the cgroup quota the kernel stops the whole process for the rest of each period.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Capacity relative to the strongest core. Little cores have at most 0.61 (Amlogic S922X), the middle cluster
# of a three-cluster SoC has at least 0.85 (1024/870/250). The middle cores are worth using.
_CAPACITY_SHARE = 0.65

# The same for the maximum frequency, which separates cores less clearly. Favoured x86 cores differ by some
# per cent (4.8 and 5.0 GHz), prime ARM cores by up to 15 (2.42 and 2.84 GHz, Snapdragon 865); little cores
# have at most 0.79 (RK3399: 1.416 and 1.8 GHz, RK3588: 1.8 and 2.4 GHz).
_FREQUENCY_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class LogicalCpu:
    """A logical processor as the kernel describes it; None if the kernel does not tell.

    Attributes:
        number: the N of /sys/devices/system/cpu/cpuN.
        package: the physical package (socket).
        core: the core id. On ARM it starts at 0 in every cluster (Linux, drivers/base/arch_topology.c,
            parse_cluster), so it identifies a core only if `siblings` is missing.
        siblings: the logical processors on the same physical core, this one included.
        capacity: relative capacity, 1024 for the strongest core of the machine.
        max_frequency_khz: the highest frequency, in kHz.
        performance_core: on Intel hybrids, whether this is a performance core.
    """

    number: int
    package: int | None = None
    core: int | None = None
    siblings: frozenset[int] | None = None
    capacity: int | None = None
    max_frequency_khz: int | None = None
    performance_core: bool | None = None


@dataclass(frozen=True, slots=True)
class CpuSnapshot:
    """The processors at one moment.

    Attributes:
        allowed: the affinity mask, in logical cpu numbers.
        cpus: what is known of the logical processors; those outside `allowed` are ignored.
        quota: the tightest cgroup quota, in CPUs (1.5 is one and a half); None without one.
    """

    allowed: frozenset[int]
    cpus: tuple[LogicalCpu, ...] = ()
    quota: float | None = None


@dataclass(frozen=True, slots=True)
class ThreadChoice:
    """A number of threads, at least 1, and the reason in one sentence for a person."""

    threads: int
    reason: str


@dataclass(frozen=True, slots=True)
class FastCores:
    """The cores to compute on: the number of physical cores, and the numbers of their logical processors."""

    count: int
    cpus: frozenset[int]


def choose_threads(snapshot: CpuSnapshot, override: int | None = None) -> ThreadChoice:
    """Choose the number of threads to compute with.

    That is the number of physical cores in the affinity mask (of two kinds, only the performance cores), at
    most the cgroup quota rounded down, at least 1. An override wins.

    Raises:
        ValueError: the override is below 1.
    """
    if override is not None and override < 1:
        raise ValueError(f"cannot compute with {override} threads: set 1 or more, or leave it to the device")
    threads, device = _device_threads(snapshot)
    if override is None:
        return ThreadChoice(threads, f"{_count(threads, 'thread')}: {device}")
    configured = f"{_count(override, 'thread')}, as configured"
    if override > threads:
        return ThreadChoice(override, f"{configured}: more than the {threads} this device gives ({device})")
    if override < threads:
        return ThreadChoice(override, f"{configured}; this device gives {threads} ({device})")
    return ThreadChoice(override, f"{configured}, which is what this device gives ({device})")


def fast_cores(snapshot: CpuSnapshot) -> FastCores:
    """Return the cores of the affinity mask to compute on: of two kinds, only the performance cores."""
    fast = _fast_ones(_allowed(snapshot))
    return FastCores(max(1, len({_core_key(cpu) for cpu in fast})), frozenset(cpu.number for cpu in fast))


def _allowed(snapshot: CpuSnapshot) -> Sequence[LogicalCpu]:
    known = {cpu.number: cpu for cpu in snapshot.cpus}
    return [known.get(number, LogicalCpu(number)) for number in sorted(snapshot.allowed)]


def _device_threads(snapshot: CpuSnapshot) -> tuple[int, str]:
    if not snapshot.allowed:
        return 1, "nothing is known of the processors"
    cpus = _allowed(snapshot)
    fast = _fast_ones(cpus)
    cores = len({_core_key(cpu) for cpu in fast})
    reason = _describe_cores(cores, fast, cpus)
    if snapshot.quota is None or snapshot.quota >= cores:
        return cores, reason
    return max(1, math.floor(snapshot.quota)), f"{reason}, the cgroup quota allows {snapshot.quota:g}"


def _describe_cores(cores: int, fast: Sequence[LogicalCpu], cpus: Sequence[LogicalCpu]) -> str:
    if len(fast) < len(cpus):
        slower = len({_core_key(cpu) for cpu in cpus} - {_core_key(cpu) for cpu in fast})
        return f"{_count(cores, 'performance core')} allowed, {slower} slower left out"
    if any(cpu.siblings is None and cpu.core is None for cpu in cpus):
        return f"{_count(cores, 'processor')} allowed, each taken for a physical core"
    return f"{_count(cores, 'physical core')} allowed"


def _core_key(cpu: LogicalCpu) -> frozenset[int] | tuple[int | None, int] | int:
    if cpu.siblings is not None:
        return cpu.siblings
    if cpu.core is not None:
        return cpu.package, cpu.core
    return cpu.number


def _fast_ones(cpus: Sequence[LogicalCpu]) -> Sequence[LogicalCpu]:
    performance = [cpu for cpu in cpus if cpu.performance_core]
    if performance:
        return performance
    capacities = [cpu.capacity for cpu in cpus]
    # Without capacity-dmips-mhz in the device tree, every core has 1024, little ones too (Linux,
    # drivers/base/arch_topology.c), so equal capacities tell nothing.
    if len(set(capacities)) > 1 and None not in capacities:
        return _near_the_top(cpus, capacities, _CAPACITY_SHARE)
    return _near_the_top(cpus, [cpu.max_frequency_khz for cpu in cpus], _FREQUENCY_SHARE)


def _near_the_top(
    cpus: Sequence[LogicalCpu], values: Sequence[int | None], share: float
) -> Sequence[LogicalCpu]:
    known = [value for value in values if value is not None]
    if len(known) < len(cpus):
        return cpus
    least = max(known) * share
    return [cpu for cpu, value in zip(cpus, known, strict=True) if value >= least]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
