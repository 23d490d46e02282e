"""What is written down and found again: on a real disk, with real SQLite."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edgeassist.journal import journal as journal_room
from edgeassist.journal.changes import Accepted
from edgeassist.journal.files import FOLDER, MOST_ASIDE
from edgeassist.journal.journal import DiskJournal
from edgeassist.journal.ledger import Bounds
from edgeassist.journal.marks import SLOTS
from edgeassist.journal.stamps import stamp_now
from edgeassist.journal.store import VERSION, Store
from edgeassist.serving.caller import Key
from edgeassist.serving.journal import Entry, Found
from tests.integration.link import until
from tests.patience import PATIENCE_S

ROOT = "edgeassist/box"
BOUNDS = Bounds(1000, 64 << 20, 2, 60)


def entry(name: str, origin: bytes = b"origin") -> Entry:
    return Entry(Key("me", name), b"f" * 16, origin, 60.0)


def key_of(name: str) -> tuple[Key, bytes]:
    """Return by what a request is known that comes again."""
    each = entry(name)
    return each.key, each.fingerprint


class Run:
    """One run of a daemon's journal."""

    def __init__(self, journal: DiskJournal, found: list[Found], news: list[str | None]) -> None:
        self.journal = journal
        self.found = found
        self.safe: list[str] = []
        self.said: list[bytes] = []
        self.news = news

    def accept(self, name: str, origin: bytes = b"origin") -> int:
        number = self.journal.accept(entry(name, origin), lambda: self.safe.append(name))
        assert number is not None
        return number

    def end(self, number: int, end: bytes = b"{}", *, replayed: bool = True) -> None:
        self.journal.end(number, end, lambda: self.said.append(end), replayed=replayed)

    async def settle(self) -> None:
        await self.journal.settle(PATIENCE_S)


@asynccontextmanager
async def run(state: Path, root: str = ROOT, bounds: Bounds = BOUNDS) -> AsyncIterator[Run]:
    found: list[Found] = []
    news: list[str | None] = []
    journal = DiskJournal(
        state,
        root,
        bounds,
        on_found=found.extend,
        on_change=lambda: news.append(journal.problem or journal.full),
    )
    await journal.open()
    try:
        yield Run(journal, found, news)
    finally:
        await journal.close(PATIENCE_S)


def file_of(state: Path) -> Path:
    (file,) = (state / FOLDER).glob("*.db")
    return file


def names(found: list[Found]) -> list[str]:
    return [each.entry.key.name for each in found]


async def test_what_was_accepted_began_and_ended_is_found_again_in_order(tmp_path: Path) -> None:
    async with run(tmp_path) as first:
        waits, begins, ends, heard = (first.accept(name, name.encode()) for name in ("w", "b", "e", "h"))
        assert first.safe == []
        first.journal.begin(begins)
        first.end(ends, b'{"end":1}')
        first.end(heard, b'{"end":2}')
        await first.settle()
        assert (first.safe, first.said) == (["w", "b", "e", "h"], [b'{"end":1}', b'{"end":2}'])
        first.journal.deliver(heard)
    async with run(tmp_path) as second:
        assert [each.number for each in second.found] == [waits, begins, ends, heard]
        assert [each.began for each in second.found] == [False, True, False, False]
        assert [each.end for each in second.found] == [None, None, b'{"end":1}', b'{"end":2}']
        assert [each.delivered for each in second.found] == [False, False, False, True]
        assert second.found[0].entry == entry("w", b"w")
        assert all(0 <= each.elapsed_s < PATIENCE_S for each in second.found)
        assert second.accept("new") > heard
        second.journal.forget(waits)
    async with run(tmp_path) as third:
        assert names(third.found) == ["b", "e", "h", "new"]
        # A stop in order is no fault of what waited.
        assert [each.starts for each in third.found] == [1, 2, 1, 1]


def test_starts_are_counted_until_a_stop_in_order(tmp_path: Path) -> None:
    counts = []
    for stops in (None, False, True, False):
        store = Store(tmp_path / "journal.db")
        counts += [each.starts for each in store.load(stamp_now())]
        if stops is None:
            store.write([Accepted(1, entry("a"), stamp_now())])
        elif stops:
            store.forget_starts()
        store.close()
    assert counts == [1, 2, 1]


async def test_an_error_that_was_delivered_is_gone(tmp_path: Path) -> None:
    async with run(tmp_path) as first:
        number = first.accept("a")
        first.end(number, replayed=False)
        await first.settle()
        first.journal.deliver(number)
    async with run(tmp_path) as second:
        assert second.found == []


KILLED = """
import asyncio, sys
from pathlib import Path
from edgeassist.journal.journal import DiskJournal
from edgeassist.journal.ledger import Bounds
from edgeassist.serving.caller import Key
from edgeassist.serving.journal import Entry

async def main():
    journal = DiskJournal(Path(sys.argv[1]), "edgeassist/box", Bounds(100_000, 1 << 30, 2, 60), on_found=list)
    await journal.open()
    number = 0
    while True:
        number += 1
        entry = Entry(Key("me", f"{number}"), b"f", b"x" * (number % 5000), 60.0)
        say = lambda number=number: print("safe", number, flush=True)
        called = journal.accept(entry, say)
        end = lambda number=number: print("ended", number, flush=True)
        journal.end(called, b"e" * 300, end, replayed=True)
        if number % 20 == 0:
            await asyncio.sleep(0)

asyncio.run(main())
"""


async def test_what_was_told_to_be_safe_survives_kill_9_in_the_middle_of_writing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(200)]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.readlines()
    told = [line.decode().split() for line in lines if line.endswith(b"\n")]
    async with run(tmp_path, bounds=Bounds(100_000, 1 << 30, 2, 60)) as after:
        found = {each.entry.key.name: each for each in after.found}
        assert {name for what, name in told if what == "safe"} <= set(found)
        assert all(found[name].end == b"e" * 300 for what, name in told if what == "ended")
        assert after.journal.problem is None


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1024:3072] = os.urandom(2048)
    path.write_bytes(content)


def no_database(path: Path) -> None:
    path.write_bytes(b"This is a note of somebody's.\n" * 100)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text)")
    other.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute(f"PRAGMA user_version = {VERSION + 1}")
    file.close()


def other_table(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("ALTER TABLE requests DROP COLUMN starts")
    file.close()


@pytest.mark.parametrize("harm", [spoil, no_database, cut, foreign, newer, other_table])
async def test_a_journal_that_can_not_be_used_is_set_aside_and_another_begun(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    async with run(tmp_path) as first:
        for number in range(200):
            first.accept(f"r{number}", bytes(100))
        await first.settle()
    path = file_of(tmp_path)
    harm(path)
    harmed = path.read_bytes()
    async with run(tmp_path) as second:
        assert (second.found, second.journal.problem) == ([], None)
        second.accept("new")
        await second.settle()
        (aside,) = (tmp_path / FOLDER).glob("*.aside-1.db")
        assert aside.read_bytes() == harmed
        assert aside.name in caplog.text
    async with run(tmp_path) as third:
        assert names(third.found) == ["new"]


async def test_no_more_files_are_set_aside_than_a_few(tmp_path: Path) -> None:
    for number in range(MOST_ASIDE + 2):
        async with run(tmp_path) as each:
            each.accept("a")
        (path,) = [each for each in (tmp_path / FOLDER).glob("*.db") if "aside" not in each.name]
        path.write_bytes(b"%d" % number * 5000)
    async with run(tmp_path):
        aside = sorted((tmp_path / FOLDER).glob("*.aside-*.db"))
        assert [each.read_bytes()[:1] for each in aside] == [b"2", b"3", b"4"]


async def test_a_second_daemon_on_one_journal_does_without_until_the_first_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.journal.writer.RETRY_S", 0.05)
    safe: list[str] = []
    async with run(tmp_path) as first:
        async with run(tmp_path, "edgeassist/another") as other:
            assert other.journal.problem is None
        found: list[Found] = []
        second = DiskJournal(tmp_path, ROOT, BOUNDS, on_found=found.extend)
        await second.open()
        assert "another daemon has" in (second.problem or "")
        assert second.accept(entry("b"), lambda: safe.append("b")) is None
        assert safe == ["b"]
        first.accept("a")
        await first.settle()
    await until(lambda: second.problem is None)
    assert names(found) == ["a"]
    assert second.accept(entry("c"), lambda: safe.append("c")) is not None
    await until(lambda: safe == ["b", "c"])
    await second.close(PATIENCE_S)


async def test_a_folder_that_can_not_be_used_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgeassist.journal.writer.RETRY_S", 0.05)
    state = tmp_path / "state"
    state.write_text("a file where a folder should be")
    async with run(state) as journal:
        assert str(state) in (journal.journal.problem or "")
        await asyncio.sleep(0.3)
        assert caplog.text.count("do not outlive a restart") == 1
        state.unlink()
        await until(lambda: journal.journal.problem is None)
        journal.accept("a")
        await journal.settle()
    async with run(state) as after:
        assert names(after.found) == ["a"]


def file_in_use(journal: DiskJournal) -> sqlite3.Connection:
    store = journal._writer._store
    assert store is not None
    return store._file


async def test_a_disk_that_hangs_holds_nobody_up_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_room, "PATIENCE_S", 0.1)
    gate = threading.Event()
    async with run(tmp_path) as first:
        # What is written waits for the gate, in the thread that writes.
        file = file_in_use(first.journal)
        file.create_function("hang", 0, lambda: gate.wait(PATIENCE_S))
        file.execute("CREATE TEMP TRIGGER slow BEFORE INSERT ON requests BEGIN SELECT hang(); END")
        number = first.accept("a")
        first.end(number)
        await until(lambda: first.safe and first.said)
        assert "takes longer" in (first.journal.problem or "")
        assert first.journal.accept(entry("b"), lambda: first.safe.append("b")) is None
        assert first.safe == ["a", "b"]
        gate.set()
        await until(lambda: first.journal.problem is None)
    async with run(tmp_path) as after:
        assert [(each.entry.key.name, each.end) for each in after.found] == [("a", b"{}")]


async def test_what_ends_on_a_full_disk_is_not_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.journal.writer.RETRY_S", 0.05)
    async with run(tmp_path) as full:
        ends, waits = full.accept("ends", bytes(5000)), full.accept("waits")
        await full.settle()
        file = file_in_use(full.journal)
        pages = file.execute("PRAGMA page_count").fetchone()[0]
        file.execute(f"PRAGMA max_page_count = {pages}")
        lost = 0
        while full.journal.problem is None:
            lost += 1
            assert lost < 1000
            full.accept(f"more {lost}", bytes(4000))
            await full.settle()
            await asyncio.sleep(0)
        assert "full" in full.journal.problem
        # All were told to be safe, the last although it is not.
        assert len(full.safe) == 2 + lost
        full.end(ends, bytes(3000))
        full.journal.deliver(ends)
        await full.settle()
        assert len(full.said) == 1
        file.execute("PRAGMA max_page_count = 100000")
        await until(lambda: full.journal.problem is None)
        again = full.accept("again")
        await full.settle()
    async with run(tmp_path) as after:
        assert names(after.found)[:1] == ["waits"]
        assert names(after.found)[-1:] == ["again"]
        assert waits < again
        assert f"more {lost}" not in names(after.found)


async def test_what_ends_while_there_is_no_space_is_known_by_the_next_start_before_there_is_some(
    tmp_path: Path,
) -> None:
    async with run(tmp_path / "now") as full:
        ends, begins = full.accept("ends"), full.accept("begins")
        await full.settle()
        # Space for a while, as it is reserved, and none for more requests.
        file = file_in_use(full.journal)
        pages = file.execute("PRAGMA page_count").fetchone()[0]
        file.execute(f"PRAGMA max_page_count = {pages}")
        lost = 0
        while full.journal.problem is None:
            lost += 1
            full.accept(f"more {lost}", bytes(40_000))
            await full.settle()
        full.end(ends, b"e" * 300)
        full.journal.begin(begins)
        await full.settle()
        shutil.copytree(tmp_path / "now", tmp_path / "killed")
    async with run(tmp_path / "killed") as after:
        found = {each.entry.key.name: each for each in after.found}
        assert (found["ends"].end, found["begins"].began) == (b"e" * 300, True)


@pytest.mark.parametrize("harm", [None, spoil, cut])
async def test_what_had_begun_is_known_although_the_database_had_not_heard_of_it(
    tmp_path: Path, harm: Callable[[Path], None] | None
) -> None:
    """The daemon is killed while the thread that writes stands still: no file of it changes any more."""
    gate, reached = threading.Event(), threading.Event()

    def hang() -> bool:
        reached.set()
        return gate.wait(PATIENCE_S)

    async with run(tmp_path / "now") as first:
        begins, waits = first.accept("begins"), first.accept("waits")
        await first.settle()
        file = file_in_use(first.journal)
        file.create_function("hang", 0, hang)
        file.execute("CREATE TEMP TRIGGER slow BEFORE INSERT ON requests BEGIN SELECT hang(); END")
        late = first.accept("late")
        assert await asyncio.to_thread(reached.wait, PATIENCE_S)
        first.journal.begin(begins)
        first.journal.begin(late)
        shutil.copytree(tmp_path / "now", tmp_path / "killed")
        gate.set()
    if harm is not None:
        harm(file_of(tmp_path / "killed"))
    for _ in range(2):  # what a start has taken up is there for the next one
        async with run(tmp_path / "killed") as after:
            assert {each.number: each.began for each in after.found} == (
                {begins: True, waits: False} if harm is None else {}
            )
            assert after.journal.had_begun(Key("me", "late"), b"f" * 16)
            assert not after.journal.had_begun(Key("me", "waits"), b"f" * 16)
            assert not after.journal.had_begun(Key("me", "begins"), b"f" * 16)
            new = after.accept("new")
            assert new > late
            after.journal.forget(new)
            await after.settle()
    async with run(tmp_path / "killed") as after:
        after.accept("late")
        await after.settle()
        assert not after.journal.had_begun(Key("me", "late"), b"f" * 16)
    async with run(tmp_path / "killed") as after:
        assert {each.entry.key.name: each.began for each in after.found}["late"]
        assert not after.journal.had_begun(Key("me", "late"), b"f" * 16)


async def test_a_mark_is_given_back_once_the_database_has_it(tmp_path: Path) -> None:
    async with run(tmp_path) as first:
        marks = first.journal._marks
        assert marks is not None
        for number in range(3 * SLOTS):
            called = first.accept(f"{number}")
            first.journal.begin(called)
            if number % SLOTS == SLOTS // 2:
                await until(lambda: not marks._slots)
        await first.settle()
        await until(lambda: not marks._slots)


@pytest.mark.parametrize("seed", range(5))
async def test_after_a_power_cut_the_journal_is_whole_and_has_a_beginning_of_what_was_written(
    tmp_path: Path, seed: int
) -> None:
    """The disk has the log up to some sector, and rubbish behind it, as a card that lost its power may.

    Of the marks, which nobody syncs, it has each sector as it was at any moment before.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret
    begun = {f"{number}" for number in range(60) if dice.random() < 0.5}
    async with run(tmp_path / "now") as before:
        path = file_of(tmp_path / "now")
        marks = path.with_suffix(".marks")
        marked = [marks.read_bytes()]
        for number in range(60):
            called = before.accept(f"{number}", bytes(dice.randrange(3000)))
            if f"{number}" in begun and dice.random() < 0.5:  # some before they are written down
                before.journal.begin(called)
                marked.append(marks.read_bytes())
            await before.settle()
            if f"{number}" in begun:
                before.journal.begin(called)
            marked.append(marks.read_bytes())
        log, content = Path(f"{path}-wal").read_bytes(), path.read_bytes()
    assert len({*marked}) > len(begun)
    for turn in range(10):
        state = tmp_path / f"cut{turn}"
        (state / FOLDER).mkdir(parents=True)
        (state / FOLDER / path.name).write_bytes(content)
        end = 512 * dice.randrange(len(log) // 512)
        rubbish = dice.randbytes(512 * dice.randrange(4))
        (state / FOLDER / f"{path.name}-wal").write_bytes(log[:end] + rubbish)
        sectors = range(0, len(marked[0]), 512)
        (state / FOLDER / marks.name).write_bytes(
            b"".join(dice.choice(marked)[at : at + 512] for at in sectors)
        )
        async with run(state) as after:
            assert after.journal.problem is None
            assert names(after.found) == [f"{number}" for number in range(len(after.found))]
            # What had begun may be forgotten, and nothing is made up.
            assert {each.entry.key.name for each in after.found if each.began} <= begun
            known = {f"{number}" for number in range(60) if after.journal.had_begun(*key_of(f"{number}"))}
            assert known <= begun
            after.accept("new")
            await after.settle()
            assert not [*(state / FOLDER).glob("*aside*")]


async def test_a_full_journal_takes_no_more_and_nobody_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run(tmp_path, bounds=Bounds(2, 1 << 20, 2, 60)) as full:
        full.accept("a")
        full.accept("b")
        assert full.journal.accept(entry("c"), lambda: full.safe.append("c")) is None
        assert full.safe == ["c"]
        assert full.journal.accept(entry("d"), lambda: full.safe.append("d")) is None
        assert caplog.text.count("journal.entries: 2") == 1
        assert "2 requests are in it" in str(full.news)
        assert len(full.news) == 1
        await full.settle()
    async with run(tmp_path) as after:
        assert names(after.found) == ["a", "b"]
        assert after.journal.full is None


async def test_a_full_journal_says_so_until_there_is_room_again(tmp_path: Path) -> None:
    async with run(tmp_path, bounds=Bounds(2, 1 << 20, 2, 60)) as full:
        first = full.accept("a")
        full.accept("b")
        assert full.journal.accept(entry("c"), lambda: None) is None
        full.end(first, replayed=False)
        await full.settle()
        assert None not in full.news
        full.journal.deliver(first)
        assert full.news[1:] == [None]
        full.accept("c")
        assert full.journal.accept(entry("d"), lambda: None) is None
        full.journal.apply(Bounds(5, 1 << 20, 2, 60))
        assert (len(full.news), full.news[-1]) == (4, None)
        await full.settle()


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    async with run(tmp_path) as each:
        each.accept("a")
        await each.settle()
        files = [*(tmp_path / FOLDER).iterdir()]
        assert files
        assert all(file.stat().st_mode & 0o077 == 0 for file in files)
        assert (tmp_path / FOLDER).stat().st_mode & 0o077 == 0


async def test_requests_that_come_together_are_written_together(tmp_path: Path) -> None:
    async with run(tmp_path) as each:
        file = file_in_use(each.journal)
        statements: list[str] = []
        file.set_trace_callback(statements.append)
        for number in range(100):
            each.accept(f"r{number}")
        await each.settle()
        assert sum(each.startswith("INSERT INTO requests") for each in statements) == 100
        assert statements.count("COMMIT") <= 10
