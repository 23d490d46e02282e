"""When something happened, told to another process, after another boot too."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment.

    Attributes:
        boot: Which boot of the machine it was in; empty where nothing tells.
        ticks: Seconds since that began, sleep included.
        wall: Seconds since 1970, by a clock that may be set, and that a Raspberry Pi has no battery for.
    """

    boot: str
    ticks: float
    wall: float


def elapsed_s(then: Stamp, now: Stamp) -> float:
    """Return the seconds between two moments; 0 where another boot's clock says that none have passed."""
    if then.boot and then.boot == now.boot:
        return max(0.0, now.ticks - then.ticks)
    return max(0.0, now.wall - then.wall)


def stamp_now() -> Stamp:
    """Return this moment."""
    return Stamp(_boot(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


@cache
def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
