"""The limits of the cgroups that this process is in, of both versions."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgeassist.device.files import ROOT, at_least, read_int, read_text, to_int

# cgroup v1 writes "no limit" as the largest multiple of the page size in 63 bits.
_V1_UNLIMITED_BYTES = 1 << 60

# A line of /proc/self/mountinfo (proc(5)).
_MOUNT = re.compile(
    r"\d+ \d+ \S+ (?P<top>/\S*) (?P<point>/\S*) .*- (?P<kind>\S+) \S+ (?P<options>\S+)", re.ASCII
)


class Version(enum.Enum):
    """A cgroup version; the value is the name of its file system."""

    V1 = "cgroup"
    V2 = "cgroup2"


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup that this process is in."""

    version: Version
    folder: Path


class CpuQuota:
    """Reads the CPU quota, often: the cgroups are looked for only where this process is in others.

    Args:
        root: The root of the file tree to read.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._membership: str | None = None
        self._levels: list[tuple[Version, Path]] | None = None

    def read(self) -> float | None:
        """Return the tightest quota of this process's cgroups, in CPUs; None without one."""
        membership = _membership(self._root)
        if self._levels is None or membership != self._membership:
            self._membership, self._levels = membership, list(_levels(self._root, "cpu"))
        quotas = (_quota(version, level) for version, level in self._levels)
        return min((quota for quota in quotas if quota is not None), default=None)


def _quota(version: Version, level: Path) -> float | None:
    if version is Version.V2:
        quota, _, period = (read_text(level / "cpu.max") or "").partition(" ")
        allowed, per = to_int(quota), to_int(period)
    else:
        allowed, per = read_int(level / "cpu.cfs_quota_us"), read_int(level / "cpu.cfs_period_us")
    if allowed is None or per is None or allowed <= 0 or per <= 0:
        return None
    return allowed / per


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """Return the tightest memory limit of this process's cgroups, in bytes; None without one."""
    limits = (_memory_limit(version, level) for version, level in _levels(root, "memory"))
    return min((limit for limit in limits if limit is not None), default=None)


def memory_cgroups(root: Path = ROOT) -> tuple[Cgroup, ...]:
    """Return the cgroups that can limit this process's memory; worth keeping, as it takes a millisecond."""
    return tuple(Cgroup(version, level) for version, level in _levels(root, "memory"))


def memory_left_bytes(cgroups: Iterable[Cgroup]) -> int | None:
    """Return how many bytes can still be allocated within the tightest limit; None without a limit."""
    left = (_memory_left(each.version, each.folder) for each in cgroups)
    return min((number for number in left if number is not None), default=None)


def _memory_limit(version: Version, level: Path) -> int | None:
    if version is Version.V2:
        return at_least(0, read_int(level / "memory.max"))
    limit = at_least(0, read_int(level / "memory.limit_in_bytes"))
    return None if limit is None or limit >= _V1_UNLIMITED_BYTES else limit


def _memory_left(version: Version, level: Path) -> int | None:
    limit = _memory_limit(version, level)
    v2 = version is Version.V2
    used = read_int(level / ("memory.current" if v2 else "memory.usage_in_bytes"))
    if limit is None or used is None:
        return limit
    # Cached file pages, also those of a mapped model, count as used, but the kernel frees them on demand.
    key = "inactive_file" if v2 else "total_inactive_file"
    cached = re.search(rf"^{key} (\d{{1,19}})$", read_text(level / "memory.stat") or "", re.MULTILINE)
    return max(0, limit - used + (int(cached[1]) if cached else 0))


def _levels(root: Path, controller: str) -> Iterator[tuple[Version, Path]]:
    """Yield this process's cgroup directories for a controller, each followed by its ancestors."""
    for version, own in _memberships(root, controller):
        mounts = list(_mounts(root, version, controller))
        ways = [(point, own.relative_to(top)) for top, point in mounts if own.is_relative_to(top)]
        # A cgroup namespace can hide the path to this process's cgroup; then only what is mounted is seen.
        if not ways or ".." in own.parts:
            ways = [(point, PurePosixPath()) for _, point in mounts[:1]]
        for point, inside in ways:
            for below in (inside, *inside.parents):
                yield version, root / point.relative_to("/") / below


def _membership(root: Path) -> str | None:
    return read_text(root / "proc/self/cgroup")


def _memberships(root: Path, controller: str) -> Iterator[tuple[Version, PurePosixPath]]:
    for line in (_membership(root) or "").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/"):
            continue
        if hierarchy == "0" and not controllers:
            yield Version.V2, PurePosixPath(path)
        elif controller in controllers.split(","):
            yield Version.V1, PurePosixPath(path)


def _mounts(root: Path, version: Version, controller: str) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """Yield (mounted cgroup, mount point) for each mount that has the controller."""
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        mount = _MOUNT.fullmatch(line)
        if mount is None or mount["kind"] != version.value:
            continue
        if version is Version.V2 or controller in mount["options"].split(","):
            yield PurePosixPath(_unescaped(mount["top"])), PurePosixPath(_unescaped(mount["point"]))


def _unescaped(field: str) -> str:
    # mountinfo writes space, tab, newline and backslash as \ and three octal digits (proc(5)).
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
