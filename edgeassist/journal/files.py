"""The journal's files: where, whose, and what becomes of one that can't be used. Blocks."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from hashlib import sha256
from pathlib import Path

from edgeassist.errors import EdgeAssistError
from edgeassist.journal.store import ForeignFileError, Store

log = logging.getLogger(__name__)

# In the state directory.
FOLDER = "journal"
# So many files that could not be used are kept, for a person to look at.
MOST_ASIDE = 3
_ASIDE = ".aside-"
# What belongs to a database of SQLite.
_PARTS = ("", "-wal", "-shm", "-journal")


class TakenError(EdgeAssistError):
    """Another process has the journal."""


class Files:
    """One device's journal in the state directory, which several daemons may share.

    Args:
        state: The state directory; it need not exist.
        root: The device's topic, by which its journal is told from others'.
    """

    def __init__(self, state: Path, root: str) -> None:
        name = sha256(root.encode()).hexdigest()[:32]
        self.path = state / FOLDER / f"{name}.db"
        self.marks = self.path.with_suffix(".marks")
        self._lock: int | None = None

    def open(self) -> Store:
        """Open the journal, or begin another where there is none that can be used.

        Raises:
            TakenError: Another process has it.
            OSError: The folder can't be used.
            sqlite3.Error: It can't be opened for now.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = self._take()
        # Prompts are nobody else's business; SQLite gives its other files the same rights.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            return Store(self.path)
        except ForeignFileError as error:
            why = error.message
        log.error("the journal %s can't be used, and is now %s: %s", self.path, self._set_aside().name, why)
        return Store(self.path)

    def close(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self) -> int:
        file = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise TakenError(
                f"another daemon has {self.path}: give each device a name, or a state folder"
            ) from None
        except BaseException:
            os.close(file)
            raise
        return file

    def _set_aside(self) -> Path:
        """Give what can't be used another name, and forget the oldest of these; return the name."""
        earlier = sorted(self.path.parent.glob(f"{self.path.stem}{_ASIDE}*.db"), key=_number)
        for old in earlier[: len(earlier) + 1 - MOST_ASIDE]:
            for part in _PARTS:
                Path(f"{old}{part}").unlink(missing_ok=True)
        number = _number(earlier[-1]) + 1 if earlier else 1
        aside = self.path.with_name(f"{self.path.stem}{_ASIDE}{number}.db")
        for part in _PARTS:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{part}").rename(f"{aside}{part}")
        return aside


def _number(path: Path) -> int:
    number = path.stem.rpartition(_ASIDE)[2]
    return int(number) if number.isdigit() else 0
