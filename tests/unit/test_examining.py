"""The examination that is asked for over MQTT, as a process that may do anything."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from pydantic import JsonValue

from edgeassist.daemon.examining import Examining, doctor_command
from edgeassist.errors import BusyError, EdgeAssistError, InternalError, ShuttingDownError
from edgeassist.protocol.commands import NoArguments
from tests.patience import PATIENCE_S

FINDING = {"severity": "warning", "area": "power", "text": "hot", "remedy": "a fan"}
REPORT = {"version": "1", "worst": "warning", "findings": [FINDING]}


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


async def told(examining: Examining) -> dict[str, JsonValue]:
    async with asyncio.timeout(PATIENCE_S):
        return await examining.handle(NoArguments(), lambda _said: None)


def hangs(begun: Path) -> tuple[str, ...]:
    """Return a program that writes its process id there, and never ends by itself."""
    return program(
        f"import os, signal; open({str(begun)!r} + '.part', 'w').write(str(os.getpid()));"
        f"os.rename({str(begun)!r} + '.part', {str(begun)!r}); signal.pause()"
    )


async def under_way(examining: Examining, begun: Path) -> tuple[asyncio.Task[dict[str, JsonValue]], int]:
    task = asyncio.create_task(told(examining))
    async with asyncio.timeout(PATIENCE_S):
        while not begun.exists():
            await asyncio.sleep(0.01)
    return task, int(begun.read_text())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_findings_are_told() -> None:
    examining = Examining(program(f"print({json.dumps(REPORT)!r}); raise SystemExit(1)"))
    assert await told(examining) == {**REPORT, "left_out": 0}
    assert await told(examining) == {**REPORT, "left_out": 0}


@pytest.mark.parametrize(
    "text", ["import sys; sys.exit('no such thing')", "print('{}')", "print('[' * 9999)"]
)
async def test_one_that_ends_without_findings_is_an_error_and_the_log_has_what_it_said(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InternalError, match="run edgeassist doctor on the box"):
        await told(Examining(program(text)))
    assert ("no such thing" in caplog.text) is ("no such" in text)


async def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InternalError, match="can't be started: No such file"):
        await told(Examining(("/nowhere/at-all",)))


async def test_there_is_one_at_a_time(tmp_path: Path) -> None:
    examining = Examining(hangs(tmp_path / "begun"))
    task, pid = await under_way(examining, tmp_path / "begun")
    with pytest.raises(BusyError, match="examined already"):
        await told(examining)
    async with asyncio.timeout(PATIENCE_S):
        # The process may have begun before anybody could lower its priority.
        while os.getpriority(os.PRIO_PROCESS, pid) != 10:
            await asyncio.sleep(0.01)
    examining.close()
    with pytest.raises(ShuttingDownError):
        await task


async def test_one_that_hangs_is_ended_and_another_may_begin(tmp_path: Path) -> None:
    examining = Examining(hangs(tmp_path / "begun"), limit_s=0.5)
    for _ in range(2):
        with pytest.raises(InternalError, match=r"more than 0\.5 s"):
            await told(examining)
    if (tmp_path / "begun").exists():
        assert not lives(int((tmp_path / "begun").read_text()))


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_no_process_is_left_when_the_daemon_stops(tmp_path: Path, how: str) -> None:
    examining = Examining(hangs(tmp_path / "begun"))
    task, pid = await under_way(examining, tmp_path / "begun")
    assert lives(pid)
    if how == "close":
        examining.close()
    else:
        task.cancel()
    with pytest.raises((EdgeAssistError, asyncio.CancelledError)):
        await task
    assert not lives(pid)
    if how == "close":
        with pytest.raises(ShuttingDownError):
            await told(examining)


@pytest.mark.parametrize(("config", "named"), [(None, False), (Path("/x/box.toml"), True)])
def test_it_has_the_settings_that_the_daemon_has(config: Path | None, *, named: bool) -> None:
    command = doctor_command(config)
    assert command[-2:] == ("doctor", "--json")
    assert (command[4:6] == ("--config", "/x/box.toml")) is named
