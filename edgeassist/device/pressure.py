"""How long work waits for processors, memory and disks: the kernel's pressure stall information.

On Raspberry Pi OS it has to be enabled with `psi=1` on the kernel's command line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgeassist.device.files import ROOT, read_text

# The line about the time during which at least one task waited (Linux, Documentation/accounting/psi.rst).
_SOME = re.compile(r"some avg10=(\d+\.\d+) avg60=(\d+\.\d+) ", re.ASCII)


class Resource(StrEnum):
    """What tasks wait for; the value is the file's name."""

    CPU = "cpu"
    MEMORY = "memory"
    IO = "io"


@dataclass(frozen=True, slots=True)
class Pressure:
    """The percentage of time during which some task waited, over the last 10 and 60 s."""

    avg10: float
    avg60: float


def read_pressure(resource: Resource, root: Path = ROOT) -> Pressure | None:
    """Read how long the machine's tasks waited; None if the kernel does not tell."""
    match = _SOME.match(read_text(root / "proc/pressure" / resource.value) or "")
    return None if match is None else Pressure(float(match[1]), float(match[2]))
