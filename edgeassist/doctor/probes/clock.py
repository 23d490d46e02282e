"""The clock: what it says, and whether something keeps it right."""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime
from pathlib import Path

import edgeassist
from edgeassist.doctor.checks.clock import ClockSnapshot

# What adjtimex(2) returns while the clock is not synchronised.
_TIME_ERROR = 5
_TIMEX_BYTES = 512  # more than struct timex has on any machine


def probe_clock(*, tls: bool) -> ClockSnapshot:
    """Read the clock; `tls`: whether the broker's certificate is checked against it."""
    installed = Path(edgeassist.__file__).stat().st_mtime
    return ClockSnapshot(
        now=datetime.now(UTC),
        installed=datetime.fromtimestamp(installed, UTC),
        synchronised=_is_synchronised(),
        tls=tls,
    )


def _is_synchronised() -> bool | None:
    # With no bit of `modes` set it only reads, and needs no privilege.
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
