"""What else happens on this device while something is measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from edgeassist.device.files import ROOT
from edgeassist.device.governor import CALM_CORES, COOL_C, HOT_C, Reading
from edgeassist.device.load import Sampler

_ENGINE = "edgeassist.engine"
_LOOK_S = 0.5


def engines() -> list[int]:
    """Return the process ids of all engines that this user can see, but for those of this process."""
    ours = {child.pid for child in psutil.Process().children(recursive=True)} | {os.getpid()}
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if process.pid not in ours and "-m" in words and _ENGINE in words:
            found.append(process.pid)
    return sorted(found)


class Quiet:
    """Watches the cores of one engine.

    Args:
        root: The root of the file tree to read.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._sampler = Sampler(root=root)

    def begin(self, pid: int) -> None:
        """Begin to watch."""
        self._sampler.read(pid, running=True)

    def end(self, pid: int) -> str:
        """Return what disturbed the engine since `begin`, in words; empty: nothing."""
        _, reading = self._sampler.read(pid, running=True)
        return disturbance(reading)

    def now(self) -> str:
        """Return what would disturb an engine now, in words; takes half a second."""
        self.begin(os.getpid())
        time.sleep(_LOOK_S)
        return self.end(os.getpid())

    def is_hot(self) -> bool:
        """Whether it would be throttled soon, or is."""
        _, reading = self._sampler.read(None, running=True)
        return not is_cool(reading)


def disturbance(reading: Reading) -> str:
    """Return what is not as it should be while something is measured, in words; empty: nothing."""
    if reading.throttled:
        return "the firmware throttled the processor"
    if reading.under_voltage:
        return "the power supply was too weak (under-voltage)"
    hot, limit = reading.temperature_c, reading.limit_c
    if hot is not None and limit is not None and hot >= limit - HOT_C:
        return f"the processor had {hot:.0f} °C, and is throttled at {limit:.0f} °C"
    if reading.others is not None and reading.others > CALM_CORES:
        return "other programs used the processor"
    return ""


def is_cool(reading: Reading) -> bool:
    """Whether it may compute for a while without being throttled."""
    if reading.throttled:
        return False
    hot, limit = reading.temperature_c, reading.limit_c
    return hot is None or limit is None or hot <= limit - COOL_C
