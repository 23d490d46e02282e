"""Marks of what has begun: in a real file, read by another run after any step of the first."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.journal.marks import SIZE, SLOTS, Marks, identity_of
from edgeassist.serving.caller import Key
from edgeassist.serving.journal import Entry


def opened(path: Path, *known: int) -> Marks:
    """Return the marks as a run has them whose database knows these numbers."""
    marks = Marks(path)
    marks.open()
    marks.know(known)
    return marks


def identity(name: str) -> bytes:
    return identity_of(Entry(Key("me", name), b"f" * 16, b"", 1.0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "box.marks"


# What a run does with requests that it numbers from 1 on: begin (written down, or not yet), be written, end.
_STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "loose", "firm", "settle"]), st.integers(1, 12)), max_size=60
)


@given(_STEPS)
def test_a_run_that_is_killed_at_any_moment_leaves_the_mark_of_each_that_had_begun(
    steps: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "marks"
        marks = opened(path)
        put: set[int] = set()
        ever: set[int] = set()
        loose: set[int] = set()
        for step, number in steps:
            match step:
                case "put" | "loose" if number not in ever:
                    assert marks.put(number, identity(f"{number}") if step == "loose" else None)
                    put.add(number)
                    ever.add(number)
                    loose |= {number} if step == "loose" else set()
                case "firm":
                    marks.firm(number)
                    loose.discard(number)
                case "settle":
                    marks.settle(number)
                    put.discard(number)
                    loose.discard(number)
                case _:
                    pass
            after = opened(path)
            assert put <= set(after.begun) <= ever
            assert {each for each in range(1, 13) if after.loose(identity(f"{each}"))} == loose
            assert after.last == max(after.begun, default=0)
            after.close()
        marks.close()


@given(st.binary(max_size=SIZE + 100))
def test_any_content_is_read_and_means_nothing(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "marks"
        path.write_bytes(content)
        marks = opened(path)
        assert (marks.begun, marks.last) == ({}, 0)
        assert marks.put(7)
        assert path.stat().st_size == SIZE
        assert opened(path).begun.keys() == {7}


def test_a_mark_that_is_spoilt_is_none_and_the_others_stay(path: Path) -> None:
    marks = opened(path)
    assert all(marks.put(number) for number in range(1, 9))
    content = bytearray(path.read_bytes())
    content[70] ^= 0x10
    path.write_bytes(content)
    assert set(opened(path).begun) == {1, 2, 4, 5, 6, 7, 8}


def test_no_more_is_marked_than_there_is_space_and_what_is_settled_makes_room(path: Path) -> None:
    marks = opened(path)
    assert [marks.put(number) for number in range(1, SLOTS + 2)] == [True] * SLOTS + [False]
    marks.settle(5)
    assert marks.put(1000)
    assert path.stat().st_size == SIZE
    assert set(opened(path).begun) == {*range(1, SLOTS + 1), 1000} - {5}


def test_what_was_not_written_down_keeps_its_mark_until_it_has_a_number(path: Path) -> None:
    first = opened(path)
    first.put(3, identity("a"))
    second = opened(path)
    assert second.loose(identity("a"))
    assert not second.loose(identity("b"))
    # All that a run marks leaves that one alone.
    for number in range(10, 10 + 3 * SLOTS):
        second.put(number)
        second.settle(number)
    third = opened(path)
    assert third.adopt(5000, identity("a"))
    assert not third.adopt(5001, identity("a"))
    assert opened(path).loose(identity("a"))
    third.firm(5000)
    fourth = opened(path)
    assert not fourth.loose(identity("a"))
    assert 5000 in fourth.begun


@pytest.mark.parametrize("ended", [False, True])
def test_what_the_database_knows_by_its_number_is_not_known_otherwise(path: Path, *, ended: bool) -> None:
    opened(path).put(3, identity("a"))
    second = Marks(path)
    second.open()
    second.know(*(((), (3,)) if ended else ((3,), ())))
    assert not second.loose(identity("a"))
    second.settle(3)
    # Nor later, when the database has forgotten it.
    third = opened(path)
    assert not third.loose(identity("a"))
    assert third.last == 3


def test_the_mark_of_what_waits_is_kept_by_the_next_run_until_the_database_has_it(path: Path) -> None:
    first = opened(path)
    for number in range(1, 6):
        first.put(number)
    second = opened(path, 2, 4)
    for number in range(100, 100 + 2 * SLOTS):
        second.put(number)
        second.settle(number)
    assert {2, 4} <= set(opened(path, 2, 4).begun)
    second.settle(2)
    assert second.put(1000)


def test_what_nobody_asks_for_takes_no_more_than_half_of_the_space(path: Path) -> None:
    marks = opened(path)
    for number in range(1, SLOTS + 1):
        marks.put(number, identity(f"{number}"))
    after = opened(path)
    assert sum(after.put(number) for number in range(1000, 1000 + SLOTS)) == SLOTS // 2


def test_only_its_user_may_read_it(path: Path) -> None:
    path.touch(mode=0o666)
    opened(path).put(1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "nowhere"])
def test_without_a_file_nothing_is_marked_and_nothing_fails(
    tmp_path: Path, path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(tmp_path / "another")
        case _:
            path = tmp_path / "missing" / "box.marks"
    marks = opened(path)
    assert not marks.put(1, identity("a"))
    marks.firm(1)
    marks.settle(1)
    assert not marks.adopt(1, identity("a"))
    marks.close()
    assert str(path) in caplog.text
    assert not (tmp_path / "another").exists()


def test_what_can_not_be_written_is_not_marked(path: Path) -> None:
    marks = opened(path)
    assert marks._file is not None
    os.dup2(os.open(path, os.O_RDONLY | os.O_CLOEXEC), marks._file)
    assert not marks.put(1)
    assert opened(path).begun == {}
