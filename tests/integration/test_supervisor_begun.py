"""An engine that has begun before its supervisor: it imports what it needs meanwhile."""

from __future__ import annotations

import asyncio

import psutil

from edgeassist.engine.messages import Load, Prepare, encode
from edgeassist.supervision.engine import Patience
from edgeassist.supervision.spawning import Spawned, spawn
from edgeassist.supervision.supervisor import Phase, Supervisor
from tests.patience import PATIENCE_S


def supervisor_of(backend: str, spawned: Spawned, changed: asyncio.Event, restart_max_s: float) -> Supervisor:
    return Supervisor(
        lambda: Load(backend, "", 64, 1, 8),
        Patience(load_s=PATIENCE_S, stall_s=PATIENCE_S, restart_max_s=restart_max_s),
        on_event=lambda _event: None,
        on_change=lambda _phase: changed.set(),
        on_lost=lambda _loss: None,
        spawned=spawned,
    )


async def until(supervisor: Supervisor, changed: asyncio.Event, *phases: Phase) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while supervisor.phase not in phases:
            await changed.wait()
            changed.clear()


async def test_it_serves_first_and_the_next_one_is_started_as_ever() -> None:
    spawned = spawn()
    spawned.say(encode(Prepare("scripted")))
    changed = asyncio.Event()
    supervisor = supervisor_of("scripted", spawned, changed, 0.1)
    running = asyncio.create_task(supervisor.run(), name="supervisor")
    try:
        await until(supervisor, changed, Phase.READY)
        assert supervisor.pid == spawned.process.pid
        psutil.Process(spawned.process.pid).kill()
        async with asyncio.timeout(PATIENCE_S):
            while supervisor.phase is Phase.READY:
                await changed.wait()
                changed.clear()
        await until(supervisor, changed, Phase.READY)
        assert supervisor.pid != spawned.process.pid
        assert supervisor.restarts == 1
    finally:
        await supervisor.stop()
        await asyncio.wait_for(running, PATIENCE_S)
    spawned.discard()  # as a daemon does at its end, whatever has become of it


async def test_what_it_can_not_prepare_is_said_when_it_is_to_load() -> None:
    spawned = spawn()
    spawned.say(encode(Prepare("nonsense")))
    changed = asyncio.Event()
    supervisor = supervisor_of("nonsense", spawned, changed, 60)
    running = asyncio.create_task(supervisor.run(), name="supervisor")
    await until(supervisor, changed, Phase.UNUSABLE)
    assert "none of: llama, onnx, scripted" in (supervisor.problem or "")
    await supervisor.stop()
    await asyncio.wait_for(running, PATIENCE_S)


def test_one_that_nobody_needs_is_ended() -> None:
    spawned = spawn()
    spawned.discard()
    assert not psutil.pid_exists(spawned.process.pid)
    spawned.say(b"anything\n")
