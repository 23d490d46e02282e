"""Packets between daemon and broker are lost, doubled, late, and out of order; or none goes through."""

from __future__ import annotations

import asyncio
from random import Random
from typing import ClassVar

from tests.campaign.faults.base import Fault, Need
from tests.campaign.ledger import Hurt
from tests.campaign.stage import Stage


class RoughPackets(Fault):
    """A bad radio link: TCP repairs it, and is slow."""

    name: ClassVar = "packets"
    # TCP gives up only after minutes, but a keep-alive may be late.
    hurts: ClassVar = frozenset({Hurt.LINK})
    needs: ClassVar = frozenset({Need.PACKETS})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Lose up to a fifth, double up to a tenth, hold back up to 50 ms."""
        packets = stage.packets
        assert packets is not None, "the stage has no network of its own"
        packets.lost = random.uniform(0.02, 0.2)
        packets.doubled = random.uniform(0.02, 0.1)
        packets.delay_s = random.uniform(0, 0.05)
        try:
            await asyncio.sleep(random.uniform(3, 8))
        finally:
            packets.smooth()


class NoPackets(Fault):
    """No packet goes through, and nobody is told."""

    name: ClassVar = "no-packets"
    hurts: ClassVar = frozenset({Hurt.LINK})
    needs: ClassVar = frozenset({Need.PACKETS})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Carry nothing for a while."""
        packets = stage.packets
        assert packets is not None, "the stage has no network of its own"
        packets.lost = 1.0
        try:
            await asyncio.sleep(random.uniform(1, 10))
        finally:
            packets.smooth()
