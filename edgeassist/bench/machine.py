"""Facts about the machine that the figures were measured on."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from edgeassist import __version__
from edgeassist.device.board import board_name


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
        cpu=board_name(root),
        cores=psutil.cpu_count(logical=False),
        cpus=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        python=platform.python_version(),
        edgeassist=__version__,
        library=library,
    )
