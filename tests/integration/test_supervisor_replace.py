"""Engines that are replaced on purpose: real processes, with the scripted backend in them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from edgeassist.engine.messages import Cancelled, Delta, Failed, Finished, Heartbeat
from edgeassist.supervision.supervisor import Loss, Phase
from tests.integration.link import until
from tests.integration.watch import StartWatch, Watch

LONG = "!script step_ms=20\n" + "hello " * 500


def phases(watched: Watch) -> list[Phase]:
    return [phase for phase, _ in watched.phases]


async def streaming(watched: Watch) -> None:
    """Ask for a long answer, and wait for its first text."""
    watched.ask(LONG)
    await until(lambda: any(isinstance(event, Delta) for event in watched.events))


async def test_a_replaced_engine_ends_and_the_next_is_loaded_at_once(watch: StartWatch) -> None:
    watched = await watch(restart_max_s=600.0)
    await watched.ready()
    first = watched.engine()
    watched.supervisor.replace("another model")
    await watched.ready(2)
    assert phases(watched) == [Phase.LOADING, Phase.READY, Phase.DOWN, Phase.LOADING, Phase.READY]
    assert (watched.loads, first.is_running()) == (2, False)
    assert watched.lost == [Loss("another model", planned=True)]
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)


async def test_a_replacement_is_no_crash(watch: StartWatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watched = await watch()
    await watched.ready()
    watched.supervisor.replace("another model")
    await watched.ready(2)
    assert (watched.supervisor.restarts, watched.supervisor.problem) == (0, None)
    assert [each.levelname for each in caplog.records if "another model" in each.message] == ["INFO"]
    assert max(each.levelno for each in caplog.records) == logging.INFO


async def test_requests_of_a_replaced_engine_are_lost_as_planned_and_hear_no_more(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    await streaming(watched)
    watched.supervisor.replace("another model")
    await watched.ready(2)
    begun = watched.history.index(Phase.DOWN)
    assert [each for each in watched.history[begun:] if not isinstance(each, Heartbeat)] == [
        Phase.DOWN,
        Loss("another model", planned=True),
        Phase.LOADING,
        Phase.READY,
    ]
    assert not any(isinstance(event, Finished | Failed | Cancelled) for event in watched.events)


async def test_the_last_model_is_not_told_once_another_is_on_its_way(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    watched.supervisor.replace("another model")
    await watched.ready(2)
    assert [model is not None for model in watched.models] == [False, True, False, False, True]


async def test_an_engine_that_is_loading_is_replaced_without_waiting_for_it(watch: StartWatch) -> None:
    watched = await watch(load_s=600.0, frozen=1)
    first = await watched.started()
    watched.supervisor.replace("another model")
    await watched.ready()
    assert (watched.loads, first.is_running()) == (2, False)
    assert (watched.lost, watched.supervisor.restarts) == ([], 0)


async def test_a_replacement_ends_the_delay_before_the_next_start(
    watch: StartWatch, tmp_path: Path, trial_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.supervision.supervisor.FIRST_RESTART_S", 1200.0)
    path = tmp_path / "model.gguf"
    watched = await watch("llama", str(path), restart_max_s=1200.0)
    await until(lambda: watched.supervisor.phase is Phase.UNUSABLE)
    path.symlink_to(trial_model)
    watched.supervisor.replace("there is a model now")
    await watched.ready()
    assert watched.loads == 2
    assert watched.lost == []


async def test_an_engine_that_does_not_stop_for_its_successor_is_killed(
    watch: StartWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.supervision.process.EXIT_WAIT_S", 0.3)
    watched = await watch()
    await watched.ready()
    first = watched.engine()
    first.suspend()
    watched.supervisor.replace("another model")
    await watched.ready(2)
    assert not first.is_running()
    assert watched.lost == [Loss("another model", planned=True)]
    assert watched.supervisor.restarts == 0


async def test_asked_twice_for_a_replacement_it_replaces_once(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    watched.supervisor.replace("another model")
    watched.supervisor.replace("and again")
    await watched.ready(2)
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)
    assert (watched.loads, watched.lost) == (2, [Loss("another model", planned=True)])


async def test_a_replacement_before_the_first_engine_is_that_engine(watch: StartWatch) -> None:
    watched = await watch()
    watched.supervisor.replace("another model")
    await watched.ready()
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)
    assert watched.loads == 1


async def test_an_engine_that_dies_before_its_replacement_begins_counts_as_a_crash(
    watch: StartWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.supervision.supervisor.FIRST_RESTART_S", 1200.0)
    watched = await watch(restart_max_s=1200.0)
    await watched.ready()
    watched.engine().kill()
    await until(lambda: watched.lost)
    watched.supervisor.replace("another model")
    await watched.ready(2)
    assert [loss.planned for loss in watched.lost] == [False]
    assert watched.supervisor.restarts == 1


@pytest.mark.parametrize("ask_first", ["stop", "replace"])
async def test_stop_wins_over_a_replacement(watch: StartWatch, ask_first: str) -> None:
    watched = await watch()
    await watched.ready()
    process = watched.engine()
    if ask_first == "replace":
        watched.supervisor.replace("another model")
    stopping = asyncio.create_task(watched.supervisor.stop(), name="stop")
    await asyncio.sleep(0)
    watched.supervisor.replace("another model")
    await stopping
    await watched.task
    assert (watched.loads, process.is_running()) == (1, False)
    assert watched.supervisor.phase is Phase.DOWN
