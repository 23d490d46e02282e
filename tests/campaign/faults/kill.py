"""kill -9, and what died is started again."""

from __future__ import annotations

import asyncio
from random import Random
from typing import ClassVar

from tests.campaign.faults.base import Fault
from tests.campaign.ledger import Hurt
from tests.campaign.stage import Stage

ENGINE_DIED = r"edgeassist\.supervision\.\w+: .*(SIGKILL|engine)"
# How long to look for an engine that is being started.
_ENGINE_S = 60.0


class KillEngine(Fault):
    """The engine: the daemon starts another."""

    name: ClassVar = "engine"
    hurts: ClassVar = frozenset({Hurt.ENGINE})
    expected: ClassVar = (ENGINE_DIED,)

    async def strike(self, stage: Stage, random: Random) -> None:
        """Kill it."""
        async with asyncio.timeout(_ENGINE_S):
            while (engine := stage.box.engine()) is None:
                await asyncio.sleep(0.02)
        engine.kill()


class KillDaemon(Fault):
    """The daemon, and its engine with it."""

    name: ClassVar = "daemon"
    hurts: ClassVar = frozenset({Hurt.DAEMON, Hurt.ENGINE, Hurt.LINK})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Kill it; it is started again."""
        stage.box.kill()


class KillBroker(Fault):
    """The broker: whatever it had in memory is gone."""

    name: ClassVar = "broker"
    hurts: ClassVar = frozenset({Hurt.BROKER, Hurt.LINK, Hurt.CLIENTS})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Kill it, and start it again within a second."""
        await stage.restart_broker(random.uniform(0, 1))
