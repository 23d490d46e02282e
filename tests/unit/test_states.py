import hashlib
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgeassist.engine.kv.states import StateKey, StateStore
from edgeassist.engine.kv.world import PLAIN

KEY = StateKey("ab" * 32, "library 1; kv f16", PLAIN, (1, 2, 3))
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
    "change",
    [
        {"model_sha256": "cd" * 32},
        {"form": "library 2; kv f16"},
        {"tokens": (1, 2, 4)},
        {"world": ("adapter",)},
    ],
)
def test_a_state_of_something_else_is_not_found(store: StateStore, change: dict[str, object]) -> None:
    store.save(KEY, STATE)
    assert store.load(replace(KEY, **change)) is None
    assert store.load(KEY) == STATE


def written_by_format_1(folder: Path, name: str) -> Path:
    """Write a state as the first format did, whose key had no world."""
    header = {"format": 1, "bytes": len(STATE), "blake2b": hashlib.blake2b(STATE, digest_size=16).hexdigest()}
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(json.dumps(header).encode() + b"\n" + STATE)
    return folder / name


def test_a_state_of_the_format_without_worlds_is_not_found_and_goes_when_there_is_no_room(
    folder: Path,
) -> None:
    fields = {"model_sha256": KEY.model_sha256, "form": KEY.form, "tokens": KEY.tokens}
    name = hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:32] + ".kv"
    old = written_by_format_1(folder, name)
    os.utime(old, (1000, 1000))
    store = StateStore(folder, len(STATE) + 10)
    assert store.load(KEY) is None
    store.save(KEY, STATE)
    assert store.load(KEY) == STATE
    assert not old.exists()


def test_a_file_of_an_older_format_under_a_name_of_today_is_discarded(
    store: StateStore, folder: Path
) -> None:
    written_by_format_1(folder, KEY.name)
    assert store.load(KEY) is None
    assert files(folder) == []


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
