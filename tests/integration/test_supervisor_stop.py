"""The end of a supervisor, and what it keeps from its engine."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from edgeassist.engine.messages import Cancel, Finished, Load
from edgeassist.supervision.supervisor import Phase
from tests.integration.link import until
from tests.integration.watch import StartWatch
from tests.patience import PATIENCE_S


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25, 0.4])
async def test_stop_ends_an_engine_that_is_still_on_its_way(watch: StartWatch, after_s: float) -> None:
    watched = await watch()
    process = await watched.started()
    await asyncio.sleep(after_s)
    await watched.supervisor.stop()
    await asyncio.wait_for(watched.task, PATIENCE_S)
    assert not process.is_running()


async def test_stop_ends_an_engine_that_is_just_being_spawned(watch: StartWatch) -> None:
    watched = await watch()
    await asyncio.sleep(0)
    await watched.supervisor.stop()
    await asyncio.wait_for(watched.task, PATIENCE_S)


async def test_stop_between_two_engines_does_not_wait_for_the_next(watch: StartWatch, tmp_path: Path) -> None:
    watched = await watch("llama", str(tmp_path / "nowhere.gguf"), restart_max_s=60.0)
    await until(lambda: watched.loads == 2)
    await until(lambda: watched.supervisor.phase is Phase.UNUSABLE)
    await watched.supervisor.stop()
    await asyncio.wait_for(watched.task, PATIENCE_S)
    assert watched.loads == 2


async def test_stop_kills_an_engine_that_does_not_listen(
    watch: StartWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.supervision.process.EXIT_WAIT_S", 0.3)
    watched = await watch()
    await watched.ready()
    process = watched.engine()
    process.suspend()
    await watched.supervisor.stop()
    await asyncio.wait_for(watched.task, PATIENCE_S)
    assert not process.is_running()


async def test_cancelling_the_task_leaves_no_engine(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    process = watched.engine()
    watched.task.cancel()
    await asyncio.gather(watched.task, return_exceptions=True)
    await until(lambda: not process.is_running())
    assert watched.task.cancelled()


async def test_the_engine_is_not_given_the_daemons_settings(
    watch: StartWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEASSIST_MQTT__PASSWORD", "hunter2")
    monkeypatch.setenv("EDGEASSIST_DEVICE__NAME", "box")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    watched = await watch()
    await watched.ready()
    environ = watched.engine().environ()
    assert not [name for name in environ if name.startswith("EDGEASSIST")]
    assert "hunter2" not in str(environ)
    assert environ["OMP_WAIT_POLICY"] == "passive"
    assert "hunter2" not in str(watched.engine().cmdline())


async def test_the_engine_inherits_no_open_files_but_its_pipe(watch: StartWatch, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w"):
        watched = await watch()
        await watched.ready()
        assert watched.engine().open_files() == []
        assert len(watched.engine().net_connections("all")) == 1


async def test_what_the_engine_logs_comes_out_under_its_own_name(
    watch: StartWatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    watched = await watch()
    await watched.ready()
    watched.supervisor.send(Load("scripted", "", 16, 1, 1, 8))
    await until(lambda: "does not expect" in caplog.text)
    (record,) = [each for each in caplog.records if "does not expect" in each.message]
    assert (record.name, record.levelname) == ("edgeassist.engine.worker", "ERROR")


async def test_commands_without_an_engine_are_dropped(watch: StartWatch) -> None:
    watched = await watch()
    watched.supervisor.send(Cancel("nobody"))
    await watched.ready()
    watched.engine().kill()
    watched.supervisor.send(Cancel("nobody"))
    await until(lambda: watched.lost)
    watched.supervisor.send(Cancel("nobody"))
    await watched.ready(2)


async def test_an_event_of_any_size_is_taken(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    text = "\x01" * 12_000
    watched.ask(text, stop=(text + "!",))
    await until(lambda: watched.text() or watched.task.done())
    assert watched.text() == text


async def test_an_engine_that_is_told_what_is_no_command_is_replaced(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    assert watched.supervisor._engine is not None
    watched.supervisor._engine._process._pipe.write(b"garbage\n")
    await watched.ready(2)
    assert "exit status 70" in watched.lost[0].reason
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)
