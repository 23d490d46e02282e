"""What the last engine was told, for the next start."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edgeassist.__main__ import _is_daemon
from edgeassist.engine.messages import Load, Stop, encode
from edgeassist.supervision.last_load import NAME, keep, recall

LOAD = Load("scripted", "", 64, 1, 8, system="You are a house.")


def test_it_comes_back_with_the_memory_that_is_free_now(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    keep(folder, replace(LOAD, memory_bytes=1))
    found = recall(folder)
    assert found is not None
    assert found.memory_bytes > 1
    assert replace(found, memory_bytes=0, total_memory_bytes=0) == LOAD
    assert [file.name for file in folder.iterdir()] == [NAME]
    assert ((folder / NAME).stat().st_mode & 0o777) == 0o600  # the system prompt is in it


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"type":"load"}', encode(Stop()), b"\xff" * 9], ids=repr
)
def test_what_is_damaged_counts_as_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert recall(tmp_path) is None


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert recall(tmp_path) is None


def test_a_folder_that_can_not_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep(tmp_path / "file", LOAD)
    assert recall(tmp_path / "file") is None


@pytest.mark.parametrize(
    ("line", "daemon"),
    [
        ("run", True),
        ("run --help", False),
        ("--config settings.toml run", True),
        ("", False),
        ("ask run", False),
        ("--config run", False),
        ("--config run ask run", False),
    ],
)
def test_only_a_daemon_begins_with_an_engine(line: str, *, daemon: bool) -> None:
    assert _is_daemon(line.split()) is daemon
