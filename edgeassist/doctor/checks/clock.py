"""Whether the clock is plausible: certificates and log times depend on it. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from edgeassist.doctor.finding import ok, problem, warning
from edgeassist.protocol.findings import Finding

_AREA = "clock"
_SYNCHRONISE = "sudo timedatectl set-ntp true; timedatectl status"


@dataclass(frozen=True, slots=True)
class ClockSnapshot:
    """What the clock says.

    Attributes:
        installed: When this program was installed; a clock that is right is later.
        synchronised: Whether it is kept right, by NTP for example; None if the kernel does not tell.
        tls: Whether the broker's certificate is checked against it.
    """

    now: datetime
    installed: datetime
    synchronised: bool | None
    tls: bool


def check_clock(snapshot: ClockSnapshot) -> Iterator[Finding]:
    """Judge the clock."""
    if snapshot.now < snapshot.installed:
        text = (
            f"it says {snapshot.now:%Y-%m-%d}, before this program was installed "
            f"({snapshot.installed:%Y-%m-%d})"
        )
        if snapshot.tls:
            yield problem(_AREA, f"{text}: no certificate will be accepted", _SYNCHRONISE)
        else:
            yield warning(_AREA, f"{text}: times in the log are wrong", _SYNCHRONISE)
    elif snapshot.synchronised is False:
        harm = (
            "the broker's certificate is checked against it"
            if snapshot.tls
            else "times in the log may be wrong"
        )
        yield warning(_AREA, f"nothing keeps it right (not synchronised): {harm}", _SYNCHRONISE)
    else:
        kept = "kept right" if snapshot.synchronised else "plausible"
        yield ok(_AREA, f"{snapshot.now:%Y-%m-%d %H:%M} UTC, {kept}")
