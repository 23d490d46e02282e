"""A process that can't be spawned: rare, and most likely right after memory ran out."""

from __future__ import annotations

import asyncio
import errno

import pytest

from edgeassist.engine.messages import Load
from edgeassist.supervision.engine import Patience
from edgeassist.supervision.process import EngineProcess
from edgeassist.supervision.supervisor import Phase, Supervisor


async def test_an_engine_that_can_not_be_spawned_is_tried_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = 0

    async def spawn(_take: object, _spawned: object) -> None:
        nonlocal attempts
        attempts += 1
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(EngineProcess, "spawn", spawn)
    phases: list[Phase] = []
    supervisor = Supervisor(
        lambda: Load("scripted", "", 64, 1, 8),
        Patience(load_s=5, stall_s=5, restart_max_s=60),
        on_event=lambda _event: None,
        on_change=phases.append,
        on_lost=lambda _loss: None,
    )
    running = asyncio.create_task(supervisor.run(), name="supervisor")
    async with asyncio.timeout(10):
        while not phases:
            await asyncio.sleep(0)
    # The loop turns, and the next attempt waits.
    for _ in range(100):
        await asyncio.sleep(0)
    assert attempts == 1
    assert phases == [Phase.WAITING]
    assert supervisor.problem == "the engine can't be started: Cannot allocate memory"
    assert supervisor.restarts == 0
    await supervisor.stop()
    async with asyncio.timeout(10):
        await running
