"""What takes long to make, and is not needed at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Later(Generic[T]):
    """Made once: when it is asked for first, or before. Any thread.

    Args:
        make: Makes it. What that raises is raised to who asks, and the next one has it made again.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        # None once it was made: what it was made from is not needed any more.
        self._make: Callable[[], T] | None = make
        self._lock = threading.Lock()
        self._begun = False
        self._made: list[T] = []

    @property
    def made(self) -> bool:
        """Whether it is."""
        return bool(self._made)

    def get(self) -> T:
        """Return it; waits while it is made."""
        with self._lock:
            if self._make is not None:
                self._made.append(self._make())
                self._make = None
            return self._made[0]

    def begin(self) -> None:
        """Have it made in a thread of its own, unless that was asked for before; what fails is logged."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._run, name="later", daemon=True).start()

    def _run(self) -> None:
        try:
            self.get()
        except Exception:
            log.exception("what answers need later could not be made")
