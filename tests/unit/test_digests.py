"""Digests of models' files: computed once for a file as it is, and never taken for another's."""

import hashlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgeassist.engine.kv.digest import ModelDigest
from edgeassist.models.files.digests import NAME, Digests
from tests.patience import PATIENCE_S

LONG_AGO_S = 3600


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"one")
    return path


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digests:
    # The times of a file's last change can't be set: it is the clock that is ahead.
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + LONG_AGO_S * 10**9)
    return Digests(tmp_path / "state" / "kv")


def test_the_digest_of_a_file_is_its_sha256_and_is_known_from_then_on(digests: Digests, model: Path) -> None:
    assert digests.known(model) is None
    assert digests.compute(model) == hashlib.sha256(b"one").hexdigest()
    assert Digests(digests.folder).known(model) == hashlib.sha256(b"one").hexdigest()
    assert (digests.folder.stat().st_mode & 0o777) == 0o700
    assert ((digests.folder / NAME).stat().st_mode & 0o777) == 0o600


def test_two_who_want_it_at_once_compute_it_once(
    digests: Digests, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[Path] = []
    both = threading.Barrier(2, timeout=PATIENCE_S)

    def compute(path: Path) -> str:
        computed.append(path)
        time.sleep(0.05)  # the other one comes meanwhile, where it can
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def want() -> str:
        both.wait()
        return Digests(digests.folder).compute(model)

    monkeypatch.setattr("edgeassist.models.files.digests.sha256_of", compute)
    with ThreadPoolExecutor(2) as threads:
        wanted = [threads.submit(want) for _ in range(2)]
        assert {each.result(PATIENCE_S) for each in wanted} == {hashlib.sha256(b"one").hexdigest()}
    assert computed == [model]


def test_that_of_several_files_is_of_all_of_them(digests: Digests, tmp_path: Path) -> None:
    first, second = (tmp_path / f"model-{number:05}-of-00002.gguf" for number in (1, 2))
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    before = digests.compute(first)
    second.write_bytes(b"new")
    assert digests.known(first) is None
    assert digests.compute(first) != before


def test_a_file_that_was_written_again_is_another_even_with_its_size_and_its_time(
    digests: Digests, model: Path
) -> None:
    digests.compute(model)
    status = model.stat()
    model.write_bytes(b"two")
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests.known(model) is None


def test_a_file_in_the_place_of_another_is_another(digests: Digests, model: Path, tmp_path: Path) -> None:
    digests.compute(model)
    other = tmp_path / "other"
    other.write_bytes(b"two")
    other.replace(model)
    assert digests.known(model) is None


def test_what_changed_a_moment_ago_is_not_kept(tmp_path: Path, model: Path) -> None:
    digests = Digests(tmp_path / "kv")
    digests.compute(model)
    assert digests.known(model) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format":1}', '{"format":2,"files":[]}', "[" * 5000])
def test_what_is_damaged_is_computed_again(digests: Digests, model: Path, content: str) -> None:
    right = digests.compute(model)
    (digests.folder / NAME).write_text(content, encoding="utf-8")
    assert digests.known(model) is None
    assert digests.compute(model) == right
    assert digests.known(model) == right


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha256": "beef"},
        {"sha256": 1},
        {"path": 1},
        {"stamps": [[1]]},
        {"stamps": 1},
        {"stamps": [["a"] * 4]},
        {"stamps": [[float("inf")] * 4]},
    ],
    ids=repr,
)
def test_an_entry_that_is_none_is_not_used(digests: Digests, model: Path, wrong: dict[str, object]) -> None:
    digests.compute(model)
    file = digests.folder / NAME
    document = json.loads(file.read_text(encoding="utf-8"))
    document["files"][0] |= wrong
    file.write_text(json.dumps(document), encoding="utf-8")
    assert digests.known(model) is None


def test_those_of_sixteen_files_are_kept(digests: Digests, tmp_path: Path) -> None:
    models = [tmp_path / f"{number}.gguf" for number in range(17)]
    for path in models:
        path.write_bytes(path.name.encode())
        digests.compute(path)
    assert [path for path in models if digests.known(path) is None] == models[:1]


def test_a_folder_that_can_not_be_written_costs_nothing_else(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Digests(tmp_path / "file").compute(model) == hashlib.sha256(b"one").hexdigest()


def test_an_engine_computes_it_once_and_only_when_asked(digests: Digests, model: Path) -> None:
    first = ModelDigest(str(model), digests)
    assert not first.future.done()
    first.begin()
    first.begin()
    right = first.future.result(PATIENCE_S)
    assert right == hashlib.sha256(b"one").hexdigest()
    assert ModelDigest(str(model), digests).future.result(0) == right


def test_an_engine_without_a_file_has_an_empty_one(digests: Digests) -> None:
    assert ModelDigest("", digests).future.result(0) == ""
