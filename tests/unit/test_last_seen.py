"""What a run tells the next of when it was connected: in real files, by clocks of a test's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from edgeassist.daemon import last_seen
from edgeassist.daemon.last_seen import LastSeen
from edgeassist.folders import runtime_directory
from edgeassist.journal.stamps import Stamp

WHO = ("broker:1883", "edgeassist-box", "edgeassist/box")


class Run:
    """One run of a daemon, in one boot, whose clock a test sets."""

    def __init__(
        self, folder: Path, at: float, *, boot: str = "b", memory: bool = True, who: Any = WHO
    ) -> None:
        self.at = at
        self.connected = True
        self.room = LastSeen(
            folder / "state",
            folder / "run" if memory else None,
            who,
            connected=lambda: self.connected,
            now=lambda: Stamp(boot, self.at, 0.0),
        )

    async def serve(self, *, killed: bool) -> None:
        """Run, and end; where it is killed, nothing is done in the end."""
        task = asyncio.create_task(self.room.run())
        await asyncio.sleep(0)
        if killed:
            self.room._last = None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_run_that_was_killed_is_known_by_what_is_in_memory(tmp_path: Path) -> None:
    assert Run(tmp_path, 5.0).room.away_s() == math.inf
    await Run(tmp_path, 100.0).serve(killed=True)
    assert Run(tmp_path, 130.0).room.away_s() == 30
    assert not (tmp_path / "state").exists()


async def test_a_stop_in_order_is_known_without_such_a_folder(tmp_path: Path) -> None:
    await Run(tmp_path, 100.0, memory=False).serve(killed=True)
    assert Run(tmp_path, 130.0, memory=False).room.away_s() == math.inf
    await Run(tmp_path, 200.0, memory=False).serve(killed=False)
    assert Run(tmp_path, 230.0, memory=False).room.away_s() == 30


async def test_the_later_of_both_counts(tmp_path: Path) -> None:
    await Run(tmp_path, 100.0).serve(killed=False)
    await Run(tmp_path, 150.0).serve(killed=True)
    assert Run(tmp_path, 160.0).room.away_s() == 10


async def test_it_is_noted_again_and_again_while_it_is_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "INTERVAL_S", 0.01)
    run = Run(tmp_path, 100.0)
    task = asyncio.create_task(run.room.run())

    async def until(at: float) -> None:
        async with asyncio.timeout(10):
            while Run(tmp_path, 500.0).room.away_s() != 500 - at:
                await asyncio.sleep(0.01)

    await until(100.0)
    run.at = 200.0
    await until(200.0)
    run.connected = False
    await asyncio.sleep(0.05)
    run.at = 300.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert Run(tmp_path, 500.0).room.away_s() == 300


@pytest.mark.parametrize(
    "other",
    [
        {"boot": "another"},
        {"boot": ""},
        {"who": ("elsewhere:1883", *WHO[1:])},
        {"at": 99.0},
    ],
    ids=["boot", "no boot", "broker", "earlier"],
)
async def test_of_another_boot_or_broker_nothing_is_known(tmp_path: Path, other: dict[str, Any]) -> None:
    await Run(tmp_path, 100.0).serve(killed=False)
    assert Run(tmp_path, **{"at": 130.0, **other}).room.away_s() == math.inf


@pytest.mark.parametrize(
    "content",
    ["", "x", "[]", "5", '{"boot": 5, "ticks": [], "who": 1}', "[" * 4000, '{"boot": "b", "ticks": 1e999}'],
)
async def test_what_can_not_be_read_says_nothing(tmp_path: Path, content: str) -> None:
    await Run(tmp_path, 100.0).serve(killed=True)
    (file,) = (tmp_path / "run").iterdir()
    assert json.loads(file.read_text())["ticks"] == 100
    file.write_text(content)
    assert Run(tmp_path, 130.0).room.away_s() == math.inf


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    await Run(tmp_path, 100.0).serve(killed=False)
    kept = sorted(tmp_path.rglob("*.json"))
    assert len(kept) == 2
    for path in kept:
        path.unlink()
        os.mkfifo(path)
        os.mkfifo(path.with_suffix(".new"))
    assert Run(tmp_path, 130.0).room.away_s() == math.inf
    await Run(tmp_path, 200.0).serve(killed=False)


async def test_where_it_can_not_be_written_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    (tmp_path / "state").touch()
    await Run(tmp_path, 100.0).serve(killed=False)
    assert Run(tmp_path, 130.0).room.away_s() == math.inf


def test_it_is_in_systemds_folder_or_in_the_users_own() -> None:
    assert runtime_directory({"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/u"}) == Path(
        "/run/a"
    )
    assert runtime_directory({"XDG_RUNTIME_DIR": "/u"}) == Path("/u/edgeassist")
    assert runtime_directory({}) is None
