"""An engine that has begun before its supervisor: it imports what it needs meanwhile."""

from __future__ import annotations

import asyncio
import signal
import time

import psutil
import pytest
from msgspec.structs import replace

from edgeassist.engine.messages import Load
from edgeassist.supervision import spawning
from edgeassist.supervision.engine import Patience
from edgeassist.supervision.spawning import Spawned, spawn
from edgeassist.supervision.supervisor import Phase, Supervisor
from tests.patience import PATIENCE_S


def load_of(backend: str, context: int = 64) -> Load:
    return Load(backend, "", context, 1, 8)


def supervisor_of(backend: str, spawned: Spawned, changed: asyncio.Event, restart_max_s: float) -> Supervisor:
    return Supervisor(
        lambda: load_of(backend),
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
    spawned = spawned.load(load_of("scripted"))
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


async def test_what_it_can_not_load_is_said_by_the_supervisor() -> None:
    spawned = spawn()
    spawned = spawned.load(load_of("nonsense"))
    changed = asyncio.Event()
    supervisor = supervisor_of("nonsense", spawned, changed, 60)
    running = asyncio.create_task(supervisor.run(), name="supervisor")
    await until(supervisor, changed, Phase.UNUSABLE)
    assert "none of: llama, onnx, scripted" in (supervisor.problem or "")
    await supervisor.stop()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_one_that_was_told_nothing_is_told() -> None:
    spawned = spawn()
    assert await served_by("scripted", spawned) == (spawned.process.pid, 64)


async def test_one_that_loads_what_is_wanted_no_more_is_ended() -> None:
    spawned = spawn().load(load_of("scripted", 128))
    pid, context = await served_by("scripted", spawned)
    assert (pid != spawned.process.pid, context) == (True, 64)
    assert not psutil.pid_exists(spawned.process.pid)


async def test_how_much_memory_was_free_does_not_matter() -> None:
    spawned = spawn().load(replace(load_of("scripted"), memory_bytes=1 << 30))
    assert await served_by("scripted", spawned) == (spawned.process.pid, 64)


async def served_by(backend: str, spawned: Spawned) -> tuple[int | None, int]:
    """Return the engine that serves, and the context with which it was loaded."""
    changed = asyncio.Event()
    supervisor = supervisor_of(backend, spawned, changed, 60)
    running = asyncio.create_task(supervisor.run(), name="supervisor")
    try:
        await until(supervisor, changed, Phase.READY)
        assert supervisor.model is not None
        return supervisor.pid, supervisor.model.context
    finally:
        await supervisor.stop()
        await asyncio.wait_for(running, PATIENCE_S)


def test_one_that_nobody_needs_is_ended() -> None:
    spawned = spawn()
    spawned.discard()
    assert not psutil.pid_exists(spawned.process.pid)
    assert spawned.load(load_of("scripted")).told is not None


def test_one_that_hangs_before_it_has_read_a_long_prompt_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spawning, "SEND_S", 0.05)
    spawned = spawn()
    spawned.process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    assert spawned.load(replace(load_of("scripted"), system="x" * (1 << 24))).told is not None
    assert time.monotonic() - begun < PATIENCE_S
    spawned.discard()
