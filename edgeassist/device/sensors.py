"""What Linux tells about this machine, read from /proc and /sys.

A file that is missing, unreadable or garbled is None, never an exception: containers hide most of them, and
every board lacks some. Every function takes the root of the tree it reads.
"""

import contextlib
import enum
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from edgeassist.device.cores import CpuSnapshot, LogicalCpu

_ROOT = Path("/")

# cgroup v1 writes "no limit" as the largest multiple of the page size in 63 bits.
_V1_UNLIMITED_BYTES = 1 << 60

# A line of /proc/self/mountinfo (proc(5)).
_MOUNT = re.compile(
    r"\d+ \d+ \S+ (?P<top>/\S*) (?P<point>/\S*) .*- (?P<kind>\S+) \S+ (?P<options>\S+)", re.ASCII
)

_MAX_CPU_NUMBER = 8191  # NR_CPUS is at most 8192 (Linux, arch/x86/Kconfig)

# Best first; the hottest of the first kind that is there is the temperature.
_CPU_ZONES = re.compile(r"x86_pkg_temp|(cpu|bigcore|midcore|littlecore).*", re.IGNORECASE)
_CPU_CHIPS = re.compile(r"coretemp|k10temp|zenpower|cpu_thermal")
_WHOLE_CHIP_ZONES = re.compile(r"(soc|package).*|acpitz", re.IGNORECASE)

# A zone that is switched off reads as -274 °C on some SoCs, a broken one as 255.
_PLAUSIBLE_CELSIUS = (-40.0, 150.0)


class _Cgroup(enum.Enum):
    """A cgroup version, valued by the name of its file system."""

    V1 = "cgroup"
    V2 = "cgroup2"


@dataclass(frozen=True, slots=True)
class ThrottledFlags:
    """What a Raspberry Pi's firmware says about power and heat.

    None where the kernel only reports under-voltage. The `_occurred` flags are the firmware's history; the
    kernel clears it every 2 s (Linux, drivers/hwmon/raspberrypi-hwmon.c), so that "since boot" means
    remembering what was seen.
    """

    under_voltage: bool
    under_voltage_occurred: bool
    frequency_capped: bool | None = None
    frequency_capped_occurred: bool | None = None
    throttled: bool | None = None
    throttled_occurred: bool | None = None
    soft_temperature_limit: bool | None = None
    soft_temperature_limit_occurred: bool | None = None


def read_cpu_snapshot(root: Path = _ROOT, pid: int = 0, before: CpuSnapshot | None = None) -> CpuSnapshot:
    """Read an affinity mask, and what is known of the processors in it.

    Args:
        root: Of the tree that is read.
        pid: The thread whose mask it is; the calling one where it is 0, or has ended.
        before: An earlier snapshot; while the mask stays, the processors are not read again.
    """
    try:
        allowed = frozenset(os.sched_getaffinity(pid))
    except ProcessLookupError:
        allowed = frozenset(os.sched_getaffinity(0))
    if before is not None and before.allowed == allowed:
        return CpuSnapshot(allowed, before.cpus, _cpu_quota(root))
    performance = _read_cpu_list(root / "sys/devices/cpu_core/cpus")
    cpus = tuple(_read_cpu(root, number, performance) for number in sorted(allowed))
    return CpuSnapshot(allowed, cpus, _cpu_quota(root))


def memory_limit_bytes(root: Path = _ROOT) -> int | None:
    """Return the tightest cgroup memory limit above this process in bytes, None without one."""
    limits = (_memory_limit(version, level) for version, level in _cgroup_levels(root, "memory"))
    return min((limit for limit in limits if limit is not None), default=None)


def available_memory_bytes(root: Path = _ROOT) -> int | None:
    """Return the bytes that can be allocated without swapping: the machine's, or what a cgroup leaves."""
    left = [_memory_left(version, level) for version, level in _cgroup_levels(root, "memory")]
    # A service with ProcSubset=pid has no /proc/meminfo (systemd.exec(5)).
    with contextlib.suppress(OSError):
        left.append(psutil.virtual_memory().available)
    return min((number for number in left if number is not None), default=None)


def cpu_temperature_c(root: Path = _ROOT) -> float | None:
    """Return the processor's temperature in °C, of its hottest sensor."""
    thermal, hwmon = root / "sys/class/thermal", root / "sys/class/hwmon"
    sources = (
        (thermal, "thermal_zone*/type", "temp", _CPU_ZONES),
        (hwmon, "hwmon*/name", "temp*_input", _CPU_CHIPS),
        (thermal, "thermal_zone*/type", "temp", _WHOLE_CHIP_ZONES),
    )
    for directory, names, values, wanted in sources:
        hottest = max(_temperatures(directory, names, values, wanted), default=None)
        if hottest is not None:
            return hottest
    return None


def throttled_flags(root: Path = _ROOT) -> ThrottledFlags | None:
    """Read a Raspberry Pi's power and heat flags; None on other machines.

    Where the kernel has no `get_throttled` (Debian's kernel, a Pi 5), its hwmon alarm tells of under-voltage
    within the last 2 s.
    """
    # The firmware is soc:firmware up to the Pi 4, soc@107c000000:firmware on a Pi 5.
    for path in sorted((root / "sys/devices/platform").glob("soc*/soc*:firmware/get_throttled")):
        bits = _read_int(path, base=16)
        if bits is not None:
            return _decode_throttled(bits)
    for name in sorted((root / "sys/class/hwmon").glob("hwmon*/name")):
        if _read(name) == "rpi_volt":
            alarm = _read_int(name.with_name("in0_lcrit_alarm"))
            if alarm is not None:
                return ThrottledFlags(under_voltage=alarm != 0, under_voltage_occurred=alarm != 0)
    return None


def _decode_throttled(bits: int) -> ThrottledFlags:
    # Bits 0 to 3 are now, 16 to 19 the history (Raspberry Pi documentation, vcgencmd get_throttled).
    return ThrottledFlags(
        under_voltage=bool(bits & 1 << 0),
        under_voltage_occurred=bool(bits & 1 << 16),
        frequency_capped=bool(bits & 1 << 1),
        frequency_capped_occurred=bool(bits & 1 << 17),
        throttled=bool(bits & 1 << 2),
        throttled_occurred=bool(bits & 1 << 18),
        soft_temperature_limit=bool(bits & 1 << 3),
        soft_temperature_limit_occurred=bool(bits & 1 << 19),
    )


def _read_cpu(root: Path, number: int, performance: frozenset[int] | None) -> LogicalCpu:
    directory = root / f"sys/devices/system/cpu/cpu{number}"
    topology = directory / "topology"
    # thread_siblings_list is the name before Linux 5.2, kept as an alias since.
    siblings = _read_cpu_list(topology / "core_cpus_list") or _read_cpu_list(
        topology / "thread_siblings_list"
    )
    return LogicalCpu(
        number=number,
        package=_at_least(0, _read_int(topology / "physical_package_id")),
        core=_at_least(0, _read_int(topology / "core_id")),
        siblings=siblings if siblings is not None and number in siblings else None,
        capacity=_at_least(1, _read_int(directory / "cpu_capacity")),
        max_frequency_khz=_at_least(1, _read_int(directory / "cpufreq/cpuinfo_max_freq")),
        performance_core=None if performance is None else number in performance,
    )


def _cpu_quota(root: Path) -> float | None:
    quotas = (_quota(version, level) for version, level in _cgroup_levels(root, "cpu"))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(version: _Cgroup, level: Path) -> float | None:
    if version is _Cgroup.V2:
        quota, _, period = (_read(level / "cpu.max") or "").partition(" ")
        allowed, per = _to_int(quota), _to_int(period)
    else:
        allowed, per = _read_int(level / "cpu.cfs_quota_us"), _read_int(level / "cpu.cfs_period_us")
    if allowed is None or per is None or allowed <= 0 or per <= 0:
        return None
    return allowed / per


def _memory_limit(version: _Cgroup, level: Path) -> int | None:
    if version is _Cgroup.V2:
        return _at_least(0, _read_int(level / "memory.max"))
    limit = _at_least(0, _read_int(level / "memory.limit_in_bytes"))
    return None if limit is None or limit >= _V1_UNLIMITED_BYTES else limit


def _memory_left(version: _Cgroup, level: Path) -> int | None:
    limit = _memory_limit(version, level)
    v2 = version is _Cgroup.V2
    used = _read_int(level / ("memory.current" if v2 else "memory.usage_in_bytes"))
    if limit is None or used is None:
        return limit
    # Cached file pages count as used, a mapped model's too, but are given up for an allocation.
    key = "inactive_file" if v2 else "total_inactive_file"
    cached = re.search(rf"^{key} (\d{{1,19}})$", _read(level / "memory.stat") or "", re.MULTILINE)
    return max(0, limit - used + (int(cached[1]) if cached else 0))


def _cgroup_levels(root: Path, controller: str) -> Iterator[tuple[_Cgroup, Path]]:
    """Yield this process's cgroup directories for a controller, each followed by its ancestors."""
    for version, own in _cgroup_memberships(root, controller):
        mounts = list(_cgroup_mounts(root, version, controller))
        ways = [(point, own.relative_to(top)) for top, point in mounts if own.is_relative_to(top)]
        # A cgroup namespace can hide the way to the own cgroup: then what is mounted is all there is to see.
        if not ways or ".." in own.parts:
            ways = [(point, PurePosixPath()) for _, point in mounts[:1]]
        for point, inside in ways:
            for below in (inside, *inside.parents):
                yield version, root / point.relative_to("/") / below


def _cgroup_memberships(root: Path, controller: str) -> Iterator[tuple[_Cgroup, PurePosixPath]]:
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/"):
            continue
        if hierarchy == "0" and not controllers:
            yield _Cgroup.V2, PurePosixPath(path)
        elif controller in controllers.split(","):
            yield _Cgroup.V1, PurePosixPath(path)


def _cgroup_mounts(
    root: Path, version: _Cgroup, controller: str
) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """Yield (the cgroup that is mounted, the mount point) of each mount that holds the controller."""
    for line in (_read(root / "proc/self/mountinfo") or "").splitlines():
        mount = _MOUNT.fullmatch(line)
        if mount is None or mount["kind"] != version.value:
            continue
        if version is _Cgroup.V2 or controller in mount["options"].split(","):
            yield PurePosixPath(_unescaped(mount["top"])), PurePosixPath(_unescaped(mount["point"]))


def _unescaped(field: str) -> str:
    # mountinfo writes space, tab, newline and backslash as \ and three octal digits (proc(5)).
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _temperatures(directory: Path, names: str, values: str, wanted: re.Pattern[str]) -> Iterator[float]:
    low, high = _PLAUSIBLE_CELSIUS
    for name in directory.glob(names):
        if not wanted.fullmatch(_read(name) or ""):
            continue
        for path in name.parent.glob(values):
            millidegrees = _read_int(path)
            if millidegrees is not None and low < millidegrees / 1000 < high:
                yield millidegrees / 1000


def _read_cpu_list(path: Path) -> frozenset[int] | None:
    """Read a list such as 0-3,8."""
    numbers: set[int] = set()
    for part in (_read(path) or "").split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if match is None or int(match[2] or match[1]) > _MAX_CPU_NUMBER:
            return None
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(numbers)


def _read_int(path: Path, base: int = 10) -> int | None:
    text = _read(path)
    return None if text is None else _to_int(text, base)


def _to_int(text: str, base: int = 10) -> int | None:
    try:
        return int(text, base)
    except ValueError:
        return None


def _at_least(least: int, value: int | None) -> int | None:
    return value if value is not None and value >= least else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None
