"""How much memory can be allocated."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import psutil

from edgeassist.device.cgroups import Cgroup, memory_cgroups, memory_left_bytes, memory_limit_bytes
from edgeassist.device.files import ROOT


def available_memory_bytes(root: Path = ROOT, cgroups: Sequence[Cgroup] | None = None) -> int | None:
    """Return the bytes that can be allocated without swapping, on the machine and within its cgroups' limits.

    Args:
        root: The root of the file tree to read.
        cgroups: From `memory_cgroups`, to save finding them again.
    """
    left = [memory_left_bytes(memory_cgroups(root) if cgroups is None else cgroups)]
    # A service with ProcSubset=pid has no /proc/meminfo (systemd.exec(5)).
    with contextlib.suppress(OSError):
        left.append(psutil.virtual_memory().available)
    return min((number for number in left if number is not None), default=None)


def total_memory_bytes(root: Path = ROOT) -> int | None:
    """Return the bytes of memory in total: the machine's, or a cgroup's limit if that is lower."""
    limits = [memory_limit_bytes(root)]
    with contextlib.suppress(OSError):
        limits.append(psutil.virtual_memory().total)
    return min((number for number in limits if number is not None), default=None)
