"""The one thread that touches the journal's file, and writes what came meanwhile together."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from edgeassist.errors import EdgeAssistError
from edgeassist.journal.changes import Accepted, Began, Change, Delivered, Ended, Forgotten
from edgeassist.journal.files import Files
from edgeassist.journal.marks import Marks
from edgeassist.journal.stamps import stamp_now
from edgeassist.journal.store import Store
from edgeassist.serving.journal import Found

log = logging.getLogger(__name__)

# What nobody waits for is written with what comes in this time.
LAZY_S = 0.5
# How soon a disk that did not take it is tried again.
RETRY_S = 10.0
# So many changes are written together.
_MOST = 500

# Told of changes that were taken from the queue, and why they could not be written; None: they are.
OnWritten = Callable[[Sequence[Change], str | None], None]


class Writer:
    """Writes changes in their order. Its callbacks are called in its thread.

    Args:
        files: The journal's.
        on_found: Told of what is in it, and given the marks, once it could be opened.
        on_written: Told of what became of changes.
    """

    def __init__(
        self, files: Files, on_found: Callable[[list[Found], Marks], None], on_written: OnWritten
    ) -> None:
        self._files = files
        self._on_found = on_found
        self._on_written = on_written
        self._queue: SimpleQueue[Change | None] = SimpleQueue()
        self._store: Store | None = None
        self._loaded = False
        self._problem: str | None = None
        self._try_at = 0.0
        # What is in the file and has changed since, while nothing could be written.
        self._owed: dict[int, Change] = {}
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begin: open the journal, and tell what is in it."""
        self._thread.start()

    def put(self, change: Change) -> None:
        """Have a change written."""
        self._queue.put(change)

    def stop(self) -> None:
        """Write what came, and end; `join` waits for it."""
        self._queue.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False if that takes longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._write([])
        going_on = True
        while going_on:
            changes, going_on = self._gather()
            self._write(changes)
        self._note_stop()
        self._lose_store()
        self._files.close()

    def _gather(self) -> tuple[list[Change], bool]:
        """Return what is to be written next, and whether more may come."""
        changes: list[Change] = []
        until = time.monotonic() + RETRY_S if self._problem else None
        while len(changes) < _MOST:
            # While somebody waits for one of them, only what is there already is taken along.
            urgent = any(_is_urgent(each) for each in changes)
            wait_s = None if until is None else max(0.0, until - time.monotonic())
            try:
                change = self._queue.get_nowait() if urgent else self._queue.get(timeout=wait_s)
            except Empty:
                break
            if change is None:
                return changes, False
            if not changes:
                until = time.monotonic() + LAZY_S
            changes.append(change)
        return changes, True

    def _write(self, changes: Sequence[Change]) -> None:
        """Write changes, and tell what became of them; whatever goes wrong, this thread goes on."""
        now = time.monotonic()
        problem = self._problem
        if problem is None or now >= self._try_at or not changes:
            try:
                problem = self._attempt(changes)
            except Exception as error:  # noqa: BLE001 - told
                problem = self._words(error)
                self._owe(changes)
                self._lose_store()
            self._try_at = now + RETRY_S
        else:
            self._save(changes)
        self._problem = problem
        self._on_written(changes, problem)

    def _save(self, changes: Sequence[Change]) -> None:
        """Write what ends, while there is no space for more: a restart must not begin it again."""
        wanted = [*self._owed.values(), *changes]
        try:
            if self._store is None:
                raise sqlite3.OperationalError
            _write_ends(self._store, wanted)
        except sqlite3.Error:
            self._owe(changes)
        else:
            self._owed.clear()

    def _attempt(self, changes: Sequence[Change]) -> str | None:
        """Write all of it, or at least what ends; return why not all was written."""
        store = self._store or self._open()
        wanted = [*self._owed.values(), *changes]
        if self._problem is not None:
            store.reserve()
        try:
            store.write(wanted)
        except sqlite3.Error as error:
            problem = self._words(error)
            _write_ends(store, wanted)
            self._owed.clear()
            return problem if any(isinstance(each, Accepted) for each in changes) else None
        self._owed.clear()
        return None

    def _open(self) -> Store:
        store = self._store = self._files.open()
        if not self._loaded:
            marks = Marks(self._files.marks)
            marks.open()
            try:
                found = store.load(stamp_now(), marks.begun)
            except BaseException:
                marks.close()
                raise
            marks.know(
                [each.number for each in found if each.end is None],
                [each.number for each in found if each.end is not None],
            )
            self._loaded = True
            self._on_found(found, marks)
        return store

    def _note_stop(self) -> None:
        """What waits was no reason for this stop."""
        if self._store is not None:
            with contextlib.suppress(sqlite3.Error):
                self._store.forget_starts()

    def _lose_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with contextlib.suppress(sqlite3.Error):
                store.close()

    def _words(self, error: Exception) -> str:
        match error:
            case EdgeAssistError():
                return error.message
            case OSError():
                return f"{self._files.path}: {error.strerror or error}"
            case sqlite3.Error():
                return f"{self._files.path}: {error}"
        log.error("the journal failed in an unexpected way", exc_info=error)
        return f"unexpected: {error}"

    def _owe(self, changes: Sequence[Change]) -> None:
        """Keep what of these the file must know of before it is right again."""
        for each in changes:
            match each:
                case Began(number=number):
                    self._owed.setdefault(number, each)
                case Ended(number=number) | Delivered(number=number) | Forgotten(number=number):
                    self._owed[number] = Forgotten(number)


def _write_ends(store: Store, changes: Sequence[Change]) -> None:
    """Write what ends of these; raises sqlite3.Error."""
    ends = [each for each in changes if not isinstance(each, Accepted)]
    try:
        store.write(ends)
    except sqlite3.Error:
        # What the log has taken may be done with, and its space be enough.
        store.make_room()
        store.write(ends)


def _is_urgent(change: Change) -> bool:
    """Whether somebody waits for it, or a restart would not know of it."""
    match change:
        case Began(marked=marked):
            return not marked
        case Delivered() | Forgotten():
            return False
    return True
