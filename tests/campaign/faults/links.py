"""The network is away, falls silent, or is slow. For the daemon, or for its clients."""

from __future__ import annotations

import asyncio
from random import Random
from typing import ClassVar

from tests.campaign.faults.base import Fault, Need
from tests.campaign.ledger import Hurt
from tests.campaign.relay import Relay
from tests.campaign.stage import Stage

_DAEMON, _CLIENTS = frozenset({Hurt.LINK}), frozenset({Hurt.CLIENTS})


class _LinkFault(Fault):
    needs: ClassVar = frozenset({Need.RELAYS})
    duration_s: ClassVar[tuple[float, float]] = (0.2, 3.0)

    async def strike(self, stage: Stage, random: Random) -> None:
        """Break the link, and mend it."""
        relay = self._relay(stage)
        self._break(relay, random)
        try:
            await asyncio.sleep(random.uniform(*self.duration_s))
        finally:
            relay.mend()

    def _relay(self, stage: Stage) -> Relay:
        relay = stage.clients_relay if self.hurts == _CLIENTS else stage.daemon_relay
        assert relay is not None, "the stage has no relays"
        return relay

    def _break(self, relay: Relay, random: Random) -> None:
        raise NotImplementedError


class CutDaemon(_LinkFault):
    """The daemon's connection is reset, and new ones are for a while."""

    name: ClassVar = "cut-daemon"
    hurts: ClassVar = _DAEMON

    def _break(self, relay: Relay, random: Random) -> None:
        relay.cut()


class CutClients(CutDaemon):
    """The clients' connections are."""

    name: ClassVar = "cut-clients"
    hurts: ClassVar = _CLIENTS


class HushDaemon(_LinkFault):
    """Nothing goes through between daemon and broker, and nobody is told; what was sent comes late."""

    name: ClassVar = "hush-daemon"
    hurts: ClassVar = _DAEMON
    duration_s: ClassVar = (0.5, 6.0)

    def _break(self, relay: Relay, random: Random) -> None:
        relay.hush()


class SlowDaemon(_LinkFault):
    """Every piece between daemon and broker takes up to half a second."""

    name: ClassVar = "slow-daemon"
    hurts: ClassVar = frozenset()
    duration_s: ClassVar = (2.0, 5.0)

    def _relay(self, stage: Stage) -> Relay:
        assert stage.daemon_relay is not None, "the stage has no relays"
        return stage.daemon_relay

    def _break(self, relay: Relay, random: Random) -> None:
        relay.delay_s = random.uniform(0.05, 0.5)
