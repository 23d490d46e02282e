"""The faults, by name."""

from __future__ import annotations

from tests.campaign.faults.base import Fault, Need
from tests.campaign.faults.disk import FullDisk, FullDiskKill
from tests.campaign.faults.freeze import (
    FreezeBroker,
    FreezeDaemon,
    FreezeEngine,
    HangBroker,
    HangDaemon,
    HangEngine,
)
from tests.campaign.faults.kill import KillBox, KillBroker, KillDaemon, KillEngine, KillKeepingBroker
from tests.campaign.faults.links import CutClients, CutDaemon, HushDaemon, SlowDaemon
from tests.campaign.faults.packets import NoPackets, RoughPackets

__all__ = ["FAULTS", "Fault", "Need"]

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        KillEngine(),
        KillDaemon(),
        KillBroker(),
        KillKeepingBroker(),
        KillBox(),
        FreezeEngine(),
        FreezeDaemon(),
        FreezeBroker(),
        HangEngine(),
        HangDaemon(),
        HangBroker(),
        FullDisk(),
        FullDiskKill(),
        CutDaemon(),
        CutClients(),
        HushDaemon(),
        SlowDaemon(),
        RoughPackets(),
        NoPackets(),
    )
}
