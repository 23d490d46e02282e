"""kill -9, and what died is started again."""

from __future__ import annotations

import asyncio
from random import Random
from typing import ClassVar

from tests.campaign.faults.base import Fault, Need
from tests.campaign.ledger import Hurt
from tests.campaign.stage import Stage

ENGINE_DIED = r"edgeassist\.supervision\.\w+: .*(SIGKILL|engine)"
# The setting `fleet.adopt_s` of a campaign's boxes.
ADOPT_S = 3.0
# How long to look for an engine that is being started.
_ENGINE_S = 60.0


class KillEngine(Fault):
    """The engine: the daemon starts another."""

    name: ClassVar = "engine"
    hurts: ClassVar = frozenset({Hurt.ENGINE})
    expected: ClassVar = (ENGINE_DIED,)

    async def strike(self, stage: Stage, random: Random) -> None:
        """Kill it."""
        box = random.choice(stage.boxes)
        async with asyncio.timeout(_ENGINE_S):
            while (engine := box.engine()) is None:
                await asyncio.sleep(0.02)
        engine.kill()


class KillDaemon(Fault):
    """The daemon, and its engine with it."""

    name: ClassVar = "daemon"
    hurts: ClassVar = frozenset({Hurt.DAEMON, Hurt.ENGINE, Hurt.LINK})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Kill it; it is started again."""
        random.choice(stage.boxes).kill()


class KillBox(Fault):
    """A box of a fleet, which stays away for so long that another one takes over what it had."""

    name: ClassVar = "box"
    hurts: ClassVar = frozenset({Hurt.DAEMON, Hurt.ENGINE, Hurt.LINK})
    needs: ClassVar = frozenset({Need.FLEET})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Kill it, and wait until it is started again."""
        box = random.choice(stage.boxes)
        box.kill(away_s=random.choice([0.5, ADOPT_S, 3 * ADOPT_S]))
        await box.back()


class KillBroker(Fault):
    """The broker: whatever it had in memory is gone."""

    name: ClassVar = "broker"
    hurts: ClassVar = frozenset({Hurt.BROKER, Hurt.LINK, Hurt.CLIENTS})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Kill it, and start it again within a second."""
        await stage.restart_broker(random.uniform(0, 1))


class KillKeepingBroker(KillBroker):
    """The broker, which has its sessions on disk: as they were when it wrote them last."""

    name: ClassVar = "broker-kept"
    needs: ClassVar = frozenset({Need.KEEPING})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Kill it, and start it again within a second."""
        await stage.restart_broker(random.uniform(0, 1), forgets=False)
