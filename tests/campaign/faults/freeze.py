"""SIGSTOP for a while. A short one must not show; a long one is longer than somebody's limit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from random import Random
from typing import ClassVar

from tests.campaign.faults.base import Fault
from tests.campaign.faults.kill import ENGINE_DIED
from tests.campaign.ledger import Hurt
from tests.campaign.stage import Stage

# Of the daemons and clients of a campaign that freezes for long, in seconds.
STALL_S = 6
KEEPALIVE_S = 6
SHORT_S = (0.5, 2.5)
# Longer than one and a half keep-alives, and than a stalled engine may be silent.
LONG_S = (11.0, 14.0)


class FreezeEngine(Fault):
    """The engine stands still, and goes on."""

    name: ClassVar = "freeze-engine"
    duration_s: ClassVar[tuple[float, float]] = SHORT_S

    async def strike(self, stage: Stage, random: Random) -> None:
        """Stop it, and let it go on."""
        engine = random.choice(stage.boxes).engine()
        if engine is not None:
            await _freeze(engine.pid, random.uniform(*self.duration_s))


class HangEngine(FreezeEngine):
    """The engine stands still for longer than `engine.stall_timeout_s`: it is replaced."""

    name: ClassVar = "hang-engine"
    hurts: ClassVar = frozenset({Hurt.ENGINE})
    expected: ClassVar = (ENGINE_DIED,)
    duration_s: ClassVar = LONG_S


class FreezeDaemon(Fault):
    """The daemon stands still, and goes on."""

    name: ClassVar = "freeze-daemon"
    duration_s: ClassVar[tuple[float, float]] = SHORT_S

    async def strike(self, stage: Stage, random: Random) -> None:
        """Stop it, and let it go on."""
        await _freeze(random.choice(stage.boxes).daemon.pid, random.uniform(*self.duration_s))


class HangDaemon(FreezeDaemon):
    """The daemon stands still until the broker gives it up."""

    name: ClassVar = "hang-daemon"
    hurts: ClassVar = frozenset({Hurt.LINK})
    duration_s: ClassVar = LONG_S


class FreezeBroker(Fault):
    """The broker stands still, and goes on."""

    name: ClassVar = "freeze-broker"
    duration_s: ClassVar[tuple[float, float]] = SHORT_S

    async def strike(self, stage: Stage, random: Random) -> None:
        """Stop it, and let it go on."""
        await _freeze(stage.broker.pid, random.uniform(*self.duration_s))


class HangBroker(FreezeBroker):
    """The broker stands still until everybody gives it up."""

    name: ClassVar = "hang-broker"
    hurts: ClassVar = frozenset({Hurt.LINK, Hurt.CLIENTS})
    duration_s: ClassVar = LONG_S


async def _freeze(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may have been replaced meanwhile
            os.kill(pid, signal.SIGCONT)
