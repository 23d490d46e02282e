import hashlib
import json
import logging
import os
import resource
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeassist.engine.kv.budget import Budget
from edgeassist.engine.kv.prefixes import Kind
from edgeassist.engine.kv.states import MOST, OLDEST_S, Saved, StateKey, StateStore
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.prompting.transcripts import Transcript

KEY = StateKey("ab" * 32, "library 1; kv f16", PLAIN, array("q", (1, 2, 3)))
STATE = bytes(range(256)) * 40
MIB = 1 << 20
DAY_S = 86_400


def save(store: StateStore, key: StateKey, state: bytes = STATE, kind: Kind = Kind.END) -> bool:
    return store.save(Saved(key, kind, len(state)), state)


def names(store: StateStore) -> set[str]:
    return {saved.key.name for saved in store.known}


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "kv", 100_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kv"


def test_a_state_that_was_saved_is_loaded(store: StateStore) -> None:
    save(store, KEY)
    assert store.load(KEY) == STATE


def test_without_a_state_there_is_none(store: StateStore) -> None:
    assert store.load(KEY) is None


@pytest.mark.parametrize(
    "change",
    [
        {"model_sha256": "cd" * 32},
        {"form": "library 2; kv f16"},
        {"tokens": array("q", (1, 2, 4))},
        {"world": ("adapter",)},
    ],
)
def test_a_state_of_something_else_is_not_found(store: StateStore, change: dict[str, Any]) -> None:
    save(store, KEY)
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
    fields = {"model_sha256": KEY.model_sha256, "form": KEY.form, "tokens": KEY.tokens.tolist()}
    name = hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:32] + ".kv"
    old = written_by_format_1(folder, name)
    os.utime(old, (1000, 1000))
    store = StateStore(folder, len(STATE) + 10)
    assert store.load(KEY) is None
    save(store, KEY)
    assert store.load(KEY) == STATE
    assert not old.exists()


def test_a_file_of_an_older_format_under_a_name_of_today_is_discarded(
    store: StateStore, folder: Path
) -> None:
    written_by_format_1(folder, KEY.name)
    assert store.load(KEY) is None
    assert files(folder) == []


@pytest.mark.parametrize("position", [0, 5, 30, 60, 100, 500, -1])
def test_a_damaged_state_is_discarded(
    store: StateStore, folder: Path, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    save(store, KEY)
    (path,) = files(folder)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert store.load(KEY) is None
    assert files(folder) == []
    assert "damaged" in caplog.text


@pytest.mark.parametrize("length", [0, 1, 50, 1000])
def test_a_truncated_state_is_discarded(store: StateStore, folder: Path, length: int) -> None:
    save(store, KEY)
    (path,) = files(folder)
    path.write_bytes(path.read_bytes()[:length])
    assert store.load(KEY) is None
    assert files(folder) == []


def test_the_least_recently_used_go_when_there_is_no_room(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 3 * len(STATE))
    keys = [replace(KEY, tokens=array("q", (number,))) for number in range(3)]
    for age, key in enumerate(keys[:2]):
        save(store, key)
        os.utime(tmp_path / key.name, (1000 + age, 1000 + age))
    store.load(keys[0])
    save(store, keys[2])
    assert [store.load(key) is not None for key in keys] == [True, False, True]


def test_a_state_larger_than_allowed_is_not_saved_and_says_which_setting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not save(StateStore(tmp_path, 10), KEY)
    assert files(tmp_path) == []
    assert "engine.state_mb" in caplog.text


def test_what_an_interrupted_save_left_behind_is_cleared_away_and_nothing_else(
    store: StateStore, folder: Path
) -> None:
    folder.mkdir()
    (folder / "tmp1.kv-part").write_bytes(b"half")
    (folder / "tmp2.kv-part").write_bytes(b"another engine is writing it")
    os.utime(folder / "tmp1.kv-part", (1000, 1000))
    (folder / "notes.txt").write_text("mine")
    save(store, KEY)
    assert [path.name for path in files(folder)] == sorted([KEY.name, "notes.txt", "tmp2.kv-part"])


def test_a_folder_that_can_not_be_is_logged_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kv").write_text("a file where the folder should be")
    store = StateStore(tmp_path / "kv", 100_000)
    with caplog.at_level(logging.WARNING):
        save(store, KEY)
        assert store.load(KEY) is None
    assert "can't keep the KV state" in caplog.text


# --- after a restart ---------------------------------------------------------------------------------------


def test_what_is_there_is_known_again_without_its_states_being_read(store: StateStore, folder: Path) -> None:
    transcript = Transcript("hello, said the text: \x00é", (1, 2, 3, 4))
    store.save(Saved(replace(KEY, world=("adapter",)), Kind.FORK, len(STATE), transcript), STATE)
    again = StateStore(folder, 100_000)
    again.scan()
    (saved,) = again.known
    assert (saved.key.world, list(saved.key.tokens)) == (("adapter",), [1, 2, 3])
    assert (saved.kind, saved.bytes) == (Kind.FORK, len(STATE))
    assert saved.transcript is not None
    assert (saved.transcript.text, list(saved.transcript.tokens)) == (transcript.text, [1, 2, 3, 4])
    assert again.load(saved.key) == STATE


def test_only_its_owner_may_look_into_the_folder(store: StateStore, folder: Path) -> None:
    save(store, KEY)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in files(folder)] == [0o600]


@pytest.mark.parametrize("position", [0, 5, 16, 40, 60, 100])
def test_a_file_with_a_damaged_head_goes_at_the_start(store: StateStore, folder: Path, position: int) -> None:
    save(store, KEY)
    (path,) = files(folder)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    again = StateStore(folder, 100_000)
    again.scan()
    assert again.known == []
    assert files(folder) == []


def test_files_of_older_formats_go_at_the_start_without_a_word(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written_by_format_1(folder, "ab" * 16 + ".kv")
    (folder / "notes.txt").write_text("mine")
    StateStore(folder, 100_000).scan()
    assert [path.name for path in files(folder)] == ["notes.txt"]
    assert caplog.text == ""


def test_a_file_under_the_name_of_another_is_not_taken(store: StateStore, folder: Path) -> None:
    save(store, KEY)
    other = replace(KEY, tokens=array("q", (7, 8, 9)))
    (folder / KEY.name).rename(folder / other.name)
    assert store.load(other) is None
    assert files(folder) == []


def test_what_nobody_used_for_a_month_goes_but_for_the_system_prompts(
    store: StateStore, folder: Path
) -> None:
    keys = [replace(KEY, tokens=array("q", (number,))) for number in range(3)]
    for key, kind in zip(keys, (Kind.END, Kind.PINNED, Kind.END), strict=True):
        save(store, key, kind=kind)
    long_ago = folder.stat().st_mtime - OLDEST_S - DAY_S
    for key in keys[:2]:
        os.utime(folder / key.name, (long_ago, long_ago))
    again = StateStore(folder, 100_000)
    again.scan()
    assert names(again) == {keys[1].name, keys[2].name}


def test_the_system_prompt_goes_last(tmp_path: Path) -> None:
    keys = [replace(KEY, tokens=array("q", (number,))) for number in range(4)]
    store = StateStore(tmp_path, 3 * len(STATE) + 2000)
    save(store, keys[0], kind=Kind.PINNED)
    for age, key in enumerate(keys[1:3]):
        save(store, key)
        os.utime(tmp_path / key.name, (3000 + age, 3000 + age))
    os.utime(tmp_path / keys[0].name, (1000, 1000))
    save(store, keys[3])
    assert names(store) == {keys[0].name, keys[2].name, keys[3].name}


def test_there_are_no_more_files_than_are_looked_through(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 1_000_000)
    for number in range(MOST + 3):
        save(store, replace(KEY, tokens=array("q", (number,))), b"small")
    assert len(files(tmp_path)) == len(store.known) == MOST


def test_what_a_state_is_instead_of_goes_once_it_is_saved(store: StateStore, folder: Path) -> None:
    save(store, KEY)
    longer = replace(KEY, tokens=array("q", (1, 2, 3, 4)))
    assert store.save(Saved(longer, Kind.END, len(STATE)), STATE, [KEY])
    assert [path.name for path in files(folder)] == [longer.name]
    assert names(store) == {longer.name}


# --- what may be written -----------------------------------------------------------------------------------


def test_a_day_has_a_budget_that_a_restart_does_not_renew(tmp_path: Path) -> None:
    path = tmp_path / "written.json"
    assert Budget(path, 100).spend(60, 10 * DAY_S)
    assert not Budget(path, 100).spend(60, 10 * DAY_S + 5)
    assert Budget(path, 100).allows(40, 10 * DAY_S + 5)
    assert not Budget(path, 100).allows(41, 10 * DAY_S + 5)
    assert Budget(path, 100).spend(60, 11 * DAY_S)


def test_a_clock_that_begins_in_the_past_is_no_new_day(tmp_path: Path) -> None:
    budget = Budget(tmp_path / "written.json", 100)
    assert budget.spend(60, 10 * DAY_S)
    assert not budget.allows(60, 9 * DAY_S)
    assert budget.spend(40, 9 * DAY_S)
    assert not budget.allows(1, 10 * DAY_S + 5)


def test_a_clock_that_was_far_ahead_does_not_stop_writing_for_ever(tmp_path: Path) -> None:
    budget = Budget(tmp_path / "written.json", 100)
    assert budget.spend(100, 9_000 * DAY_S)
    assert budget.spend(100, 10 * DAY_S)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"day": "x", "bytes": 1}', b'{"day":10,"bytes":-9}', b'"\xff"']
)
def test_a_damaged_count_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "written.json"
    path.write_bytes(content)
    assert Budget(path, 100).allows(100, 10 * DAY_S)
    assert not Budget(path, 100).allows(101, 10 * DAY_S)
    assert Budget(path, 100).spend(100, 10 * DAY_S)


def test_a_state_that_today_has_no_room_for_is_not_written(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 100_000, Budget(tmp_path / "written.json", int(1.5 * len(STATE))))
    assert save(store, KEY)
    other = replace(KEY, tokens=array("q", (4,)))
    assert not store.allows(len(STATE))
    assert not save(store, other)
    assert store.load(KEY) == STATE
    assert store.load(other) is None


@pytest.mark.parametrize(
    ("most", "in_a_day", "setting"),
    [(3 * MIB, 9 * MIB, "engine.state_mb allows 3"), (9 * MIB, 3 * MIB, "engine.state_mb_per_day allows 3")],
)
def test_a_state_that_is_too_large_for_the_settings_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, most: int, in_a_day: int, setting: str
) -> None:
    store = StateStore(tmp_path, most, Budget(tmp_path / "written.json", in_a_day))
    assert store.allows(3 * MIB)
    for _ in range(3):
        assert not store.allows(3 * MIB + 1)
    [said] = caplog.messages
    assert "takes 4 MiB" in said
    assert setting in said


def test_the_last_of_a_disk_is_left_free(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = StateStore(tmp_path, 100_000, least_free=1 << 60)
    assert not save(store, KEY)
    assert files(tmp_path) == []
    assert "no room on the disk" in caplog.text


def test_a_disk_that_takes_no_more_leaves_nothing_behind(
    store: StateStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(store, KEY)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(STATE), limits[1]))
    try:
        assert not save(store, replace(KEY, tokens=array("q", (4,))))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in files(folder)] == [KEY.name]
    assert "can't keep the KV state" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_can_only_be_read_is_read(store: StateStore, folder: Path) -> None:
    save(store, KEY)
    folder.chmod(0o500)
    try:
        again = StateStore(folder, 100_000, Budget(folder / "written.json", 1_000_000))
        again.scan()
        assert not save(again, replace(KEY, tokens=array("q", (4,))))
        assert again.load(KEY) == STATE
    finally:
        folder.chmod(0o700)
