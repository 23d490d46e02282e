"""What faults need of this machine."""

from __future__ import annotations

from tests.campaign import disk, packets
from tests.campaign.faults import Fault, Need


def lacks(fault: Fault, boxes: int = 1) -> str | None:
    """Return why a fault can't be done here; None if it can."""
    checks = {Need.SMALL_DISK: disk.why_not, Need.PACKETS: packets.why_not}
    if Need.FLEET in fault.needs and boxes == 1:
        return "it takes a fleet: --boxes 3"
    reasons = (check() for need, check in checks.items() if need in fault.needs)
    return next(filter(None, reasons), None)
