"""Engines that end or begin on purpose: real processes, with the scripted backend in them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from edgeassist.engine.messages import Cancel, Cancelled, Delta, Failed, Finished, Heartbeat, Load
from edgeassist.errors import MemoryShortError, ModelError, ShuttingDownError
from edgeassist.supervision.supervisor import Loss, Phase
from tests.integration.link import until
from tests.integration.watch import StartWatch, Watch
from tests.patience import PATIENCE_S

LONG = "!script repeat=900 delay_ms=20\nslowly "
OTHER = Load("scripted", "", context=1024, threads=1, step_tokens=64, slots=7)


def phases(watched: Watch) -> list[Phase]:
    return [phase for phase, _ in watched.phases]


async def streaming(watched: Watch) -> None:
    """Ask for a long answer, and wait for its first text."""
    watched.ask(LONG)
    await until(lambda: any(isinstance(event, Delta) for event in watched.events))


async def switch(watched: Watch, load: Load = OTHER) -> list[str]:
    """Go over to another engine; return what was told of it."""
    told: list[str] = []
    await watched.supervisor.switch_to(
        load, on_ready=lambda: told.append("ready"), on_loading=lambda _fraction: None
    )
    return told


def ready_in_s(watched: Watch) -> float | None:
    return watched.supervisor.ready_in_s


def slots(watched: Watch) -> int:
    assert watched.supervisor.model is not None
    return watched.supervisor.model.slots


async def test_the_next_engine_is_loaded_beside_the_present_one_and_takes_its_place(
    watch: StartWatch,
) -> None:
    watched = await watch()
    await watched.ready()
    first = watched.engine()
    assert await switch(watched) == ["ready"]
    assert (slots(watched), first.is_running()) == (7, True)
    assert phases(watched) == [Phase.LOADING, Phase.READY, Phase.READY]
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)
    await watched.supervisor.end_leaving("another model")
    assert not first.is_running()
    assert watched.lost == [Loss("another model", planned=True, leaving=True)]
    assert watched.supervisor.restarts == 0


async def test_a_switch_is_no_crash(watch: StartWatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watched = await watch()
    await watched.ready()
    await switch(watched)
    await watched.supervisor.end_leaving("another model")
    assert (watched.supervisor.restarts, watched.supervisor.problem) == (0, None)
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []


async def test_what_runs_on_the_engine_that_leaves_goes_on_and_can_be_cancelled(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    await streaming(watched)
    await switch(watched)
    heard = len(watched.events)
    await until(lambda: any(isinstance(event, Delta) for event in watched.events[heard:]))
    watched.supervisor.send(Cancel("a"))
    assert isinstance(await watched.ending(), Cancelled)
    assert watched.lost == []


async def test_what_is_left_on_the_engine_that_leaves_is_lost_with_it_and_heard_of_no_more(
    watch: StartWatch,
) -> None:
    watched = await watch()
    await watched.ready()
    await streaming(watched)
    await switch(watched)
    await watched.supervisor.end_leaving("its time is over")
    begun = watched.history.index(Loss("its time is over", planned=True, leaving=True))
    assert not any(
        isinstance(event, Finished | Failed | Cancelled | Delta) for event in watched.history[begun:]
    )


async def test_an_engine_that_dies_while_it_leaves_counts_as_a_crash_and_takes_nothing_else(
    watch: StartWatch,
) -> None:
    watched = await watch()
    await watched.ready()
    first = watched.engine()
    await switch(watched)
    first.kill()
    await until(lambda: watched.lost)
    (loss,) = watched.lost
    assert (loss.planned, loss.leaving, watched.supervisor.restarts) == (False, True, 1)
    assert watched.supervisor.phase is Phase.READY
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)


async def test_an_engine_that_took_a_place_is_replaced_when_it_dies(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    await switch(watched)
    await watched.supervisor.end_leaving("another model")
    watched.engine().kill()
    await watched.ready(3)
    assert (watched.supervisor.restarts, watched.loads) == (1, 2)


@pytest.mark.parametrize(
    ("load", "error", "words"),
    [
        (Load("llama", "/nowhere.gguf", 64, 1, 8), ModelError, "nowhere.gguf"),
        (Load("strange", "", 64, 1, 8), ModelError, "strange"),
    ],
)
async def test_a_model_that_can_not_be_loaded_leaves_the_present_engine_as_it_was(
    watch: StartWatch, load: Load, error: type[ModelError], words: str
) -> None:
    watched = await watch()
    await watched.ready()
    await streaming(watched)
    with pytest.raises(error, match=words):
        await switch(watched, load)
    assert phases(watched) == [Phase.LOADING, Phase.READY]
    assert (watched.lost, watched.supervisor.restarts) == ([], 0)
    heard = len(watched.events)
    await until(lambda: any(isinstance(event, Delta) for event in watched.events[heard:]))


async def test_a_model_that_does_not_fit_for_now_says_that_it_may_later(
    watch: StartWatch, trial_model: Path
) -> None:
    watched = await watch()
    await watched.ready()
    load = Load("llama", str(trial_model), 64, 1, 8, memory_bytes=1000, total_memory_bytes=1 << 40)
    with pytest.raises(MemoryShortError):
        await switch(watched, load)


async def test_a_parked_engine_has_ended_and_no_other_begins_until_it_is_resumed(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    await streaming(watched)
    first = watched.engine()
    await watched.supervisor.park("to make room")
    assert (first.is_running(), watched.supervisor.pid, watched.supervisor.model) == (False, None, None)
    begun = watched.history.index(Phase.DOWN)
    assert [each for each in watched.history[begun:] if not isinstance(each, Heartbeat)] == [
        Phase.DOWN,
        Loss("to make room", planned=True),
    ]
    assert watched.supervisor.makes_progress
    assert watched.loads == 1
    watched.supervisor.resume()
    await watched.ready(2)
    assert (watched.loads, watched.supervisor.restarts) == (2, 0)


@pytest.mark.parametrize("sleeping", [True, False])
@pytest.mark.parametrize("turns", range(1, 6))
async def test_an_engine_that_was_parked_ends_although_another_is_wanted_at_once(
    watch: StartWatch,
    turns: int,
    sleeping: bool,  # noqa: FBT001 - a parameter
) -> None:
    watched = await watch()
    await watched.ready()
    first = watched.engine()
    parked = asyncio.create_task(watched.supervisor.park("nobody asks", sleeping=sleeping))
    for _ in range(turns):
        await asyncio.sleep(0)
    assert watched.supervisor.phase is not Phase.READY
    watched.supervisor.resume()
    async with asyncio.timeout(PATIENCE_S):
        await parked
    await watched.ready(2)
    assert not first.is_running()
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)
    assert (watched.loads, watched.supervisor.restarts) == (2, 0)


async def test_an_engine_that_sleeps_forgets_nothing_and_says_how_long_it_takes_to_wake(
    watch: StartWatch,
) -> None:
    watched = await watch()
    await watched.ready()
    assert ready_in_s(watched) is None
    first = watched.engine()
    await watched.supervisor.park("nobody asks", sleeping=True)
    assert not first.is_running()
    assert (phases(watched)[-1], watched.lost) == (Phase.SLEEPING, [])
    assert slots(watched) > 0
    expected = ready_in_s(watched)
    assert expected is not None
    assert expected > 0
    watched.supervisor.resume()
    await watched.ready(2)


async def test_with_a_parked_engine_the_next_is_loaded_alone(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    await watched.supervisor.park("to make room")
    await switch(watched)
    assert phases(watched) == [Phase.LOADING, Phase.READY, Phase.DOWN, Phase.LOADING, Phase.READY]
    assert slots(watched) == 7
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)


async def test_a_switch_in_vain_leaves_a_sleeping_engine_asleep(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    await watched.supervisor.park("nobody asks", sleeping=True)
    with pytest.raises(ModelError):
        await switch(watched, Load("strange", "", 64, 1, 8))
    assert watched.supervisor.phase is Phase.SLEEPING
    assert (watched.loads, watched.supervisor.restarts) == (1, 0)


async def test_an_engine_that_is_loading_is_parked_without_waiting_for_it(watch: StartWatch) -> None:
    watched = await watch(load_s=600.0, frozen=1)
    first = await watched.started()
    await watched.supervisor.park("to make room")
    assert not first.is_running()
    watched.supervisor.resume()
    await watched.ready()
    assert (watched.loads, watched.lost, watched.supervisor.restarts) == (2, [], 0)


async def test_a_switch_ends_the_delay_before_the_next_start(
    watch: StartWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.supervision.supervisor.FIRST_RESTART_S", 1200.0)
    watched = await watch("llama", str(tmp_path / "nowhere.gguf"), restart_max_s=1200.0)
    await until(lambda: watched.supervisor.phase is Phase.UNUSABLE)
    await switch(watched)
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)
    assert watched.loads == 1


async def test_an_engine_that_does_not_stop_for_its_successor_is_killed(
    watch: StartWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.supervision.process.EXIT_WAIT_S", 0.3)
    watched = await watch()
    await watched.ready()
    first = watched.engine()
    await switch(watched)
    first.suspend()
    await watched.supervisor.end_leaving("another model")
    assert not first.is_running()
    assert (watched.lost, watched.supervisor.restarts) == (
        [Loss("another model", planned=True, leaving=True)],
        0,
    )


@pytest.mark.parametrize("leaving", [False, True])
async def test_stop_ends_the_engines_of_a_switch_and_the_switch(
    watch: StartWatch,
    leaving: bool,  # noqa: FBT001 - a parameter
) -> None:
    watched = await watch()
    await watched.ready()
    first = watched.engine()
    if leaving:
        await switch(watched)
        await watched.supervisor.stop()
    else:
        switching = asyncio.create_task(switch(watched), name="switch")
        await asyncio.sleep(0.1)
        await watched.supervisor.stop()
        with pytest.raises(ShuttingDownError):
            await switching
    await asyncio.wait_for(watched.task, PATIENCE_S)
    assert not first.is_running()
    assert (watched.supervisor.phase, watched.supervisor.memory_bytes) == (Phase.DOWN, None)
