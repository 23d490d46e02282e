"""Facts about the machine that the figures were measured on."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from edgeassist import __version__


@dataclass(frozen=True, slots=True)
class Machine:
    """Hardware and software versions; `cores` counts physical cores, None if unknown."""

    cpu: str
    cores: int | None
    cpus: int
    memory_bytes: int
    kernel: str
    python: str
    edgeassist: str
    library: str


def read_machine(*, library: str, root: Path = Path("/")) -> Machine:
    """Return the facts of this machine.

    Args:
        library: The inference library, its version and build flags.
        root: Where /proc is found.
    """
    return Machine(
        cpu=_cpu(root),
        cores=psutil.cpu_count(logical=False),
        cpus=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        python=platform.python_version(),
        edgeassist=__version__,
        library=library,
    )


def _cpu(root: Path) -> str:
    """Return the board's name from the device tree (ARM), else the processor's."""
    try:
        return (root / "proc/device-tree/model").read_text(errors="replace").rstrip("\0\n")
    except OSError:
        pass
    try:
        lines = (root / "proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
