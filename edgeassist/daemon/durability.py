"""Whether requests outlive a restart, and what becomes at the start of those that have."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edgeassist.journal.journal import DiskJournal
from edgeassist.journal.ledger import Bounds
from edgeassist.protocol.state import NOT_BROUGHT_AGAIN, NOT_DURABLE
from edgeassist.serving.journal import Found
from edgeassist.serving.recovery import Recovering, Recovery, Restore


class Durability:
    """Has the journal.

    Args:
        state: The state directory.
        root: The prefix of this device's topics.
        bounds: How much the journal holds.
        expires: Whether the broker forgets this device at once, and so brings nothing again.
        wanted: Returns whether requests are to outlive a restart.
        returning: Returns who takes up what an earlier run left.
        restore: Returns what makes requests again.
        on_change: Called when another thing is true of it.

    Attributes:
        journal: None where there can't be one.
    """

    def __init__(
        self,
        state: Path,
        root: str,
        bounds: Bounds,
        *,
        expires: bool,
        wanted: Callable[[], bool],
        returning: Callable[[], Recovering],
        restore: Callable[[], Restore],
        on_change: Callable[[], None],
    ) -> None:
        self._wanted = wanted
        self._returning = returning
        self._restore = restore
        # None once the start is over.
        self._found: list[Found] | None = []
        self.journal: DiskJournal | None = None
        # Only what the broker brings again can wait for its acknowledgement.
        if not expires:
            self.journal = DiskJournal(state, root, bounds, on_found=self._take_found, on_change=on_change)

    async def open(self) -> None:
        """Open the journal, if requests are to outlive a restart, or some have.

        What was accepted before that was turned off is answered all the same.
        """
        if self.journal is not None and (self._wanted() or self.journal.exists):
            await self.journal.open()

    def take_up(self) -> None:
        """Have requests from before the start wait, and ends be said, before anything new can come."""
        found, self._found = self._found or [], None
        self._recover(found)

    def apply(self, durable: bool) -> None:  # noqa: FBT001 - a setting
        """Open the journal while running, where that is wanted now."""
        if durable and self.journal is not None:
            self.journal.begin_to_open()

    def bound(self, bounds: Bounds) -> None:
        """Go by other bounds."""
        if self.journal is not None:
            self.journal.apply(bounds)

    def problem(self) -> str | None:
        """Return why requests do not outlive a restart; None where they do."""
        if not self._wanted():
            return NOT_DURABLE
        if self.journal is None:
            return NOT_BROUGHT_AGAIN
        return self.journal.problem or self.journal.full

    def _take_found(self, found: list[Found]) -> None:
        """Keep what the journal has from before for the start; where that is over, take it up."""
        if self._found is None:
            self._recover(found)
        else:
            self._found += found

    def _recover(self, found: list[Found]) -> None:
        if self.journal is not None:
            Recovery(self._returning(), self.journal, self._restore()).take_up(found, time.monotonic())
