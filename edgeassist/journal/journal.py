"""Writes requests down, for `serving`. For the event loop's thread; another one waits for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeassist.journal.changes import Accepted, Began, Change, Delivered, Ended, Forgotten
from edgeassist.journal.files import Files
from edgeassist.journal.ledger import Bounds, Ledger
from edgeassist.journal.marks import Marks, identity_of
from edgeassist.journal.stamps import stamp_now
from edgeassist.journal.writer import Writer
from edgeassist.serving.caller import Key
from edgeassist.serving.journal import Entry, Found

log = logging.getLogger(__name__)

# How long a disk may take until what waits for it goes on without.
PATIENCE_S = 2.0
# What is kept no longer is looked for as often.
PRUNE_S = 1.0
# How long the daemon's start waits for the journal.
OPEN_S = 10.0


class DiskJournal:
    """`serving.journal.Journal`, in a file.

    Args:
        state: The state directory.
        root: The device's topic.
        bounds: How much it holds.
        on_found: Told of what earlier runs left: by `open`, or later, where it could not be opened then.
        on_change: Called when `problem` has changed.

    Attributes:
        problem: Why nothing can be written down for now, in words; None where all is well.
    """

    def __init__(
        self,
        state: Path,
        root: str,
        bounds: Bounds,
        *,
        on_found: Callable[[list[Found]], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_found = on_found
        self._on_change = on_change
        self._ledger = Ledger(bounds)
        self._files = Files(state, root)
        self._writer = Writer(
            self._files,
            on_found=lambda found, marks: self._hand_over(self._take_found, found, marks),
            on_written=lambda changes, problem: self._hand_over(self._take_written, changes, problem),
        )
        self._first = asyncio.Event()
        self._begun = False
        self._open = False
        # By number: called when the request, or its end, is written, or can't be.
        self._accepted: dict[int, Callable[[], None]] = {}
        self._unwritten: dict[int, Entry] = {}
        self._marks: Marks | None = None
        # Marked, and the database could not be told.
        self._owed: set[int] = set()
        self._ended: dict[int, Callable[[], None]] = {}
        self._pruned_at = 0.0
        self._was_full = False
        # Whether the thread that writes waits for the disk, and nobody for it.
        self._hangs = False
        self._patience: asyncio.TimerHandle | None = None
        self.problem: str | None = None

    @property
    def full(self) -> str | None:
        """Why there is room for no more, in words; None where there is."""
        if not self._was_full:
            return None
        bounds = self._ledger.bounds
        most = f"journal.entries: {bounds.entries}, journal.mb: {bounds.size >> 20}"
        return f"the journal is full: {len(self._ledger)} requests are in it ({most})"

    @property
    def exists(self) -> bool:
        """Whether an earlier run has left one."""
        return self._files.path.exists()

    def begin_to_open(self) -> None:
        """Begin, unless that was done; until the journal is open, nothing is written down."""
        if not self._begun:
            self._begun = True
            self._loop = asyncio.get_running_loop()
            self._writer.start()

    async def open(self) -> None:
        """Begin, and wait until what is in the journal is known, or that it can't be for now."""
        self.begin_to_open()
        try:
            async with asyncio.timeout(OPEN_S):
                await self._first.wait()
        except TimeoutError:
            self._set_problem(f"the disk of the state directory has not answered for {OPEN_S:g} s")

    async def close(self, timeout_s: float) -> None:
        """Write what came, and end; what can't be written in that time is lost."""
        if not self._begun:
            return
        self._writer.stop()
        await asyncio.to_thread(self._writer.join, timeout_s)
        if self._marks is not None:
            self._marks.close()

    async def settle(self, timeout_s: float) -> None:
        """Wait until nobody waits for the disk any more, of those who do so now."""
        waiting = {*self._accepted, *self._ended}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not waiting.isdisjoint({*self._accepted, *self._ended}):
                    await asyncio.sleep(0.01)

    def apply(self, bounds: Bounds) -> None:
        """Go by other bounds from now on."""
        self._ledger.bounds = bounds
        self._prune()

    # --- `serving.journal.Journal` -------------------------------------------------------------------------

    def accept(self, entry: Entry, on_safe: Callable[[], None]) -> int | None:
        """Write a request down (`Journal.accept`)."""
        if not self._open or self.problem is not None:
            on_safe()
            return None
        self._prune()
        size = len(entry.origin) + len(entry.key.caller) + len(entry.key.name)
        number = self._ledger.accept(size)
        self._note_room(full=number is None)
        if number is None:
            on_safe()
            return None
        self._accepted[number], self._unwritten[number] = on_safe, entry
        self._put(Accepted(number, entry, stamp_now()))
        if self._marks is not None and self._marks.adopt(number, identity_of(entry)):
            self._put(Began(number, marked=True))
        return number

    def had_begun(self, key: Key, fingerprint: bytes) -> bool:
        """Whether an earlier run had begun what it could not write down any more (`Journal.had_begun`)."""
        entry = Entry(key, fingerprint, b"", 0.0)
        return self._marks is not None and self._marks.loose(identity_of(entry))

    def keeps(self, number: int) -> bool:
        """Whether the next start finds the request (`Journal.keeps`)."""
        return self.problem is None and number not in self._accepted and self._ledger.waits(number)

    def begin(self, number: int) -> None:
        """Note that text of its answer goes out (`Journal.begin`)."""
        if number in self._ledger:
            entry = self._unwritten.get(number)
            identity = None if entry is None else identity_of(entry)
            marked = self._marks is not None and self._marks.put(number, identity)
            self._put(Began(number, marked=marked))

    def end(self, number: int, end: bytes, then: Callable[[], None], *, replayed: bool) -> None:
        """Note its end (`Journal.end`)."""
        if number not in self._ledger:
            then()
            return
        replayed = replayed and self._ledger.bounds.remember_s > 0
        self._ledger.end(number, len(end), time.monotonic(), replayed=replayed)
        if not self._hangs:
            self._ended[number] = then
        self._put(Ended(number, end, stamp_now(), replayed))
        if self._hangs:
            then()

    def deliver(self, number: int) -> None:
        """Note that whoever asked has the end (`Journal.deliver`)."""
        if number in self._ledger:
            self._ledger.deliver(number)
            self._put(Delivered(number))
            self._prune()

    def forget(self, number: int) -> None:
        """Drop a request (`Journal.forget`)."""
        self._ledger.forget(number)
        self._put(Forgotten(number))
        self._prune()

    # -------------------------------------------------------------------------------------------------------

    def _put(self, change: Change) -> None:
        if self._patience is None and isinstance(change, Accepted | Ended):
            self._patience = self._loop.call_later(PATIENCE_S, self._lose_patience)
        self._writer.put(change)

    def _prune(self) -> None:
        """Drop what is kept no longer; not more often than it matters."""
        now = time.monotonic()
        if now - self._pruned_at >= PRUNE_S or self._ledger.full:
            self._pruned_at = now
            for number in self._ledger.surplus(now):
                self._writer.put(Forgotten(number))
        if self._ledger.roomy:
            self._note_room(full=False)

    def _note_room(self, *, full: bool) -> None:
        if full == self._was_full:
            return
        self._was_full = full
        if full:
            log.warning("requests do not outlive a restart until there is room: %s", self.full)
        self._on_change()

    def _hand_over(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(call, *arguments)

    def _take_found(self, found: list[Found], marks: Marks) -> None:
        now = time.monotonic()
        self._marks = marks
        self._ledger.skip(marks.last)
        for each in found:
            self._ledger.found(each, now)
            if each.number in marks.begun and each.end is None:
                self._put(Began(each.number, marked=True))
        self._open = True
        surplus = set(self._ledger.surplus(now))
        for number in surplus:
            self._writer.put(Forgotten(number))
        self._on_found([each for each in found if each.number not in surplus])

    def _take_written(self, changes: Sequence[Change], problem: str | None) -> None:
        self._first.set()
        self._hangs = False
        for each in changes:
            match each:
                case Accepted(number=number):
                    if problem is not None:
                        self._ledger.forget(number)
                    self._note_fate(number, written=problem is None)
                    _call(self._accepted, number)
                case Began(number=number):
                    self._owed.add(number)
                case Ended(number=number):
                    _call(self._ended, number)
                case _:
                    pass
        if problem is None and self._marks is not None:
            for number in self._owed:
                self._marks.settle(number)
            self._owed.clear()
        if self._patience is not None:
            self._patience.cancel()
            waits = self._accepted or self._ended
            self._patience = self._loop.call_later(PATIENCE_S, self._lose_patience) if waits else None
        self._set_problem(problem)

    def _note_fate(self, number: int, *, written: bool) -> None:
        """Let a request's mark, if it has one, be by its number; before the broker hears that it is safe."""
        self._unwritten.pop(number, None)
        if self._marks is not None and written:
            self._marks.firm(number)
        elif self._marks is not None:
            self._marks.settle(number)

    def _lose_patience(self) -> None:
        """Let all go on that waits for the disk."""
        self._patience, self._hangs = None, True
        self._set_problem(f"the disk of the state directory takes longer than {PATIENCE_S:g} s")
        for waiting in (self._accepted, self._ended):
            for number in list(waiting):
                _call(waiting, number)

    def _set_problem(self, problem: str | None) -> None:
        if problem == self.problem:
            return
        if problem is None:
            log.info("requests are written down again, and outlive a restart")
        elif self.problem is None:
            log.error("requests do not outlive a restart: %s", problem)
        self.problem = problem
        self._on_change()


def _call(waiting: dict[int, Callable[[], None]], number: int) -> None:
    call = waiting.pop(number, None)
    if call is not None:
        call()
