import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgeassist.engine.kv.states import StateKey, StateStore

KEY = StateKey("ab" * 32, "library 1; kv f16", (1, 2, 3))
STATE = bytes(range(256)) * 40


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "kv", 100_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kv"


def test_a_state_that_was_saved_is_loaded(store: StateStore) -> None:
    store.save(KEY, STATE)
    assert store.load(KEY) == STATE


def test_without_a_state_there_is_none(store: StateStore) -> None:
    assert store.load(KEY) is None


@pytest.mark.parametrize(
    "change", [{"model_sha256": "cd" * 32}, {"form": "library 2; kv f16"}, {"tokens": (1, 2, 4)}]
)
def test_a_state_of_something_else_is_not_found(store: StateStore, change: dict[str, object]) -> None:
    store.save(KEY, STATE)
    assert store.load(replace(KEY, **change)) is None
    assert store.load(KEY) == STATE


@pytest.mark.parametrize("position", [0, 5, 60, 500, -1])
def test_a_damaged_state_is_discarded(
    store: StateStore, folder: Path, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(KEY, STATE)
    (path,) = files(folder)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert store.load(KEY) is None
    assert files(folder) == []
    assert "damaged" in caplog.text


@pytest.mark.parametrize("length", [0, 1, 50, 1000])
def test_a_truncated_state_is_discarded(store: StateStore, folder: Path, length: int) -> None:
    store.save(KEY, STATE)
    (path,) = files(folder)
    path.write_bytes(path.read_bytes()[:length])
    assert store.load(KEY) is None
    assert files(folder) == []


def test_the_least_recently_used_go_when_there_is_no_room(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 3 * len(STATE))
    keys = [replace(KEY, tokens=(number,)) for number in range(3)]
    for age, key in enumerate(keys[:2]):
        store.save(key, STATE)
        os.utime(tmp_path / key.name, (1000 + age, 1000 + age))
    store.load(keys[0])
    store.save(keys[2], STATE)
    assert [store.load(key) is not None for key in keys] == [True, False, True]


def test_a_state_larger_than_allowed_is_not_saved_and_says_which_setting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    StateStore(tmp_path, 10).save(KEY, STATE)
    assert files(tmp_path) == []
    assert "engine.state_mb" in caplog.text


def test_what_an_interrupted_save_left_behind_is_cleared_away_and_nothing_else(
    store: StateStore, folder: Path
) -> None:
    folder.mkdir()
    (folder / "tmp1.kv-part").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    store.save(KEY, STATE)
    assert [path.name for path in files(folder)] == sorted([KEY.name, "notes.txt"])


def test_a_folder_that_can_not_be_is_logged_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kv").write_text("a file where the folder should be")
    store = StateStore(tmp_path / "kv", 100_000)
    with caplog.at_level(logging.WARNING):
        store.save(KEY, STATE)
        assert store.load(KEY) is None
    assert "can't keep the KV state" in caplog.text
