"""The journal's file: an SQLite database of one table. Blocks: for a thread of its own.

It is written in WAL mode. What must survive a power cut is synced before it counts (`synchronous=FULL`), and
all else is left to the kernel (`NORMAL`), which a killed daemon does not take with it. A power cut costs the
last changes of that kind, never the file: a checkpoint syncs the log before it touches the database.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from edgeassist.errors import EdgeAssistError
from edgeassist.journal.changes import Accepted, Began, Change, Delivered, Ended, Forgotten
from edgeassist.journal.stamps import Stamp, elapsed_s
from edgeassist.serving.caller import Key
from edgeassist.serving.journal import Entry, Found

# "EAjl"; any other number is another program's file.
APPLICATION_ID = 0x45416A6C
VERSION = 1
# Of this many bytes, file and log have space that is theirs: a full disk then stops nothing for a while, and
# what is in the journal can still be ended.
RESERVE_BYTES = 1 << 18
# Less is written for a small row.
_PAGE_BYTES = 1024
# Pages in the log before it is copied into the database: a sync more, and the same pages written once.
_CHECKPOINT_PAGES = 2000

_SCHEMA = """
CREATE TABLE requests (
    number INTEGER PRIMARY KEY,
    caller TEXT NOT NULL,
    id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    origin BLOB,
    timeout_s REAL NOT NULL,
    boot TEXT NOT NULL,
    ticks REAL NOT NULL,
    wall REAL NOT NULL,
    began INTEGER NOT NULL DEFAULT 0,
    starts INTEGER NOT NULL DEFAULT 0,
    ended BLOB,
    replayed INTEGER NOT NULL DEFAULT 0,
    ended_boot TEXT,
    ended_ticks REAL,
    ended_wall REAL,
    delivered INTEGER NOT NULL DEFAULT 0
) STRICT
"""
_LOAD = (
    "SELECT number, caller, id, fingerprint, origin, timeout_s, boot, ticks, wall, began, starts, ended, "
    "ended_boot, ended_ticks, ended_wall, delivered FROM requests ORDER BY number"
)
_INSERT = (
    "INSERT INTO requests (number, caller, id, fingerprint, origin, timeout_s, boot, ticks, wall) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class ForeignFileError(EdgeAssistError):
    """The file is damaged, a newer version's, or no journal."""


class Store:
    """An open journal.

    Args:
        path: Its file; made if there is none.

    Raises:
        ForeignFileError: The file can't be used, and another must be begun.
        sqlite3.Error: It can't be opened, read or written for now.
    """

    def __init__(self, path: Path) -> None:
        # The thread that opens it need not be the one that writes.
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        try:
            self._prepare()
            with contextlib.suppress(sqlite3.OperationalError):  # a full disk: then without
                self.reserve()
        except BaseException:
            self._file.close()
            raise

    def _prepare(self) -> None:
        do = self._file.execute
        try:
            # Nobody shares it, so that no memory is shared through a file either.
            do("PRAGMA locking_mode = EXCLUSIVE")
            empty = do("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            ids = [do(f"PRAGMA {each}").fetchone()[0] for each in ("application_id", "user_version")]
            if ids != ([0, 0] if empty else [APPLICATION_ID, VERSION]):
                newer = ids[0] == APPLICATION_ID
                what = f"is of version {ids[1]}, this is {VERSION}" if newer else "is no journal of ours"
                raise ForeignFileError(f"it {what}")
            do(f"PRAGMA page_size = {_PAGE_BYTES}")
            do("PRAGMA journal_mode = WAL")
            do(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            # Debian's SQLite would write zeros over all that is deleted; FAST does so where it writes anyway.
            do("PRAGMA secure_delete = FAST")
            if empty:
                self._create()
            elif (verdict := do("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise ForeignFileError(f"it is damaged: {verdict}")
            else:
                do(_LOAD).fetchone()
        except sqlite3.OperationalError as error:
            if "no such" in str(error):  # a table or column
                raise ForeignFileError(f"it is damaged: {error}") from None
            raise
        except sqlite3.DatabaseError as error:
            raise ForeignFileError(f"it is damaged: {error}") from None

    def _create(self) -> None:
        do = self._file.execute
        do("PRAGMA synchronous = FULL")
        do("BEGIN")
        do(_SCHEMA)
        do("CREATE TABLE reserve (space BLOB) STRICT")
        do(f"PRAGMA application_id = {APPLICATION_ID}")
        do(f"PRAGMA user_version = {VERSION}")
        do("COMMIT")

    def reserve(self) -> None:
        """Have the file and its log as large as they need be; raises sqlite3.Error where there is no space.

        SQLite deletes the log when it closes the file.
        """
        do = self._file.execute
        self._sync(durable=False)
        do("DELETE FROM reserve")
        do("INSERT INTO reserve VALUES (zeroblob(?))", (RESERVE_BYTES,))
        do("DELETE FROM reserve")
        self.make_room()

    def load(self, now: Stamp, begun: Container[int] = ()) -> list[Found]:
        """Return what is in it, by number, and note that one more start has found it, if there is space.

        Args:
            now: The time.
            begun: What has begun although it is not noted here (`marks`).
        """
        rows = self._file.execute(_LOAD).fetchall()
        self._sync(durable=True)
        try:
            self._file.execute("UPDATE requests SET starts = starts + 1 WHERE delivered = 0")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
        return [_found(row, now, begun) for row in rows]

    def write(self, changes: Sequence[Change]) -> None:
        """Write changes, all or none of them.

        Raises:
            sqlite3.Error: They can't be written.
        """
        if not changes:
            return
        self._sync(durable=any(isinstance(each, Accepted) for each in changes))
        self._file.execute("BEGIN IMMEDIATE")
        try:
            for each in changes:
                self._apply(each)
            self._file.execute("COMMIT")
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise

    def forget_starts(self) -> None:
        """Note that no request has ended the daemon: it stops by itself; raises sqlite3.Error."""
        self._sync(durable=False)
        self._file.execute("UPDATE requests SET starts = 0 WHERE ended IS NULL AND starts > 0")

    def make_room(self) -> None:
        """Begin the log anew, in the space that it has; raises sqlite3.Error."""
        self._file.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def drop(self, numbers: Iterable[int]) -> None:
        """Drop requests; raises sqlite3.Error."""
        self._sync(durable=False)
        self._file.executemany("DELETE FROM requests WHERE number = ?", [(number,) for number in numbers])

    def close(self) -> None:
        """Close it; what was written is synced."""
        self._file.close()

    def _sync(self, *, durable: bool) -> None:
        self._file.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")

    def _apply(self, change: Change) -> None:
        do = self._file.execute
        match change:
            case Accepted(number=number, entry=entry, at=at):
                key = entry.key
                values = (number, key.caller, key.name, entry.fingerprint, entry.origin, entry.timeout_s)
                do(_INSERT, (*values, at.boot, at.ticks, at.wall))
            case Began(number=number):
                do("UPDATE requests SET began = 1 WHERE number = ?", (number,))
            case Ended(number=number, end=end, at=at, replayed=replayed):
                do(
                    "UPDATE requests SET ended = ?, replayed = ?, ended_boot = ?, ended_ticks = ?, "
                    "ended_wall = ?, starts = 0 WHERE number = ?",
                    (end, int(replayed), at.boot, at.ticks, at.wall, number),
                )
            case Delivered(number=number):
                do("UPDATE requests SET delivered = 1 WHERE number = ?", (number,))
                do("DELETE FROM requests WHERE number = ? AND replayed = 0", (number,))
            case Forgotten(number=number):
                do("DELETE FROM requests WHERE number = ?", (number,))


def _found(row: tuple[object, ...], now: Stamp, begun: Container[int]) -> Found:
    number, caller, name, fingerprint, origin, timeout_s, boot, ticks, wall, began, starts, *rest = row
    ended, ended_boot, ended_ticks, ended_wall, delivered = rest
    entry = Entry(Key(caller, name), fingerprint, origin or b"", timeout_s)  # type: ignore[arg-type]
    ended_s = 0.0
    if ended is not None:
        ended_s = elapsed_s(Stamp(ended_boot or "", ended_ticks or 0.0, ended_wall or 0.0), now)  # type: ignore[arg-type]
    return Found(
        number,  # type: ignore[arg-type]
        entry,
        elapsed_s(Stamp(boot, ticks, wall), now),  # type: ignore[arg-type]
        began=bool(began) or number in begun,
        starts=starts + 1,  # type: ignore[operator]
        end=ended,  # type: ignore[arg-type]
        ended_s=ended_s,
        delivered=bool(delivered),
    )
