"""Memory that runs out, for tests."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

import pytest


class MemoryLimit:
    """A limit on what daemon and engine take from now on; all but a few MiB of it is taken already.

    It is set from outside of the machine, in cgroup v1: a host that has the memory controller there gives its
    machines none, and the unit's own MemoryMax has no effect. A file in memory fills it, so that no process
    but ours can be taken.
    """

    LIMIT = 512 << 20
    LEFT = 24 << 20

    def __init__(self, name: str) -> None:
        memberships = Path("/proc/self/cgroup").read_text().splitlines()
        own = [line.split(":", 2)[2] for line in memberships if ":memory:" in line]
        if not own:
            pytest.skip("this kernel has its memory controller not in cgroup v1")
        self.folder = Path("/sys/fs/cgroup/memory") / own[0].lstrip("/") / name
        self.filling = Path("/dev/shm") / name  # noqa: S108 - memory is what it is for

    def __enter__(self) -> MemoryLimit:
        self.folder.mkdir()
        (self.folder / "memory.limit_in_bytes").write_text(str(self.LIMIT))
        fill = f"head -c {self.LIMIT - self.LEFT} /dev/zero >{self.filling}"
        fill = f"echo $$ >{self.folder}/cgroup.procs && {fill}"
        subprocess.run(["sh", "-c", fill], check=True, timeout=60)
        return self

    def take(self, pid: int) -> None:
        (self.folder / "cgroup.procs").write_text(str(pid))

    def free(self) -> None:
        self.filling.unlink(missing_ok=True)

    @property
    def kills(self) -> int:
        told = (self.folder / "memory.oom_control").read_text()
        kills = re.search(r"^oom_kill (\d+)$", told, re.MULTILINE)
        assert kills is not None, told
        return int(kills[1])

    def __exit__(self, *_: object) -> None:
        self.free()
        for pid in (self.folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (self.folder.parent / "cgroup.procs").write_text(pid)
        self.folder.rmdir()
