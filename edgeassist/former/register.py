"""Under which names daemons of this state directory were at a broker: a file each, locked while one runs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from edgeassist.protocol.topics import Topics

# In the state directory.
FOLDER = "names"
_FORMAT = 1
# A damaged one is not read into memory whole.
_MAX_BYTES = 8192
_TRIES = 5
_PAUSE_S = 0.01
# Of those that are no more. What is older stays at the broker, and is not looked for.
MAX_FORMER = 8


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a daemon of this state directory had.

    Attributes:
        topics: The device's.
        boot_id: Of the last run under it, as in `health` and `instance`.
    """

    topics: Topics
    boot_id: str


class Register:
    """The names, in files.

    The lock tells a name that is no more from that of a daemon that runs beside this one with the same state
    directory, as a second one of the same user does.

    Args:
        folder: The state directory; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._ours: int | None = None

    def enter(self, name: Name) -> None:
        """Note a name as that of this process, until it ends. Where another process has it, do nothing.

        Raises:
            OSError: It can't be written.
        """
        if self._ours is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self._file(name.topics), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not _lock_soon(file):
                os.close(file)
                return
            document = {"format": _FORMAT, **_plain(name)}
            os.ftruncate(file, 0)
            # Not synced: the event loop would wait for the card, and all that a power cut in the next seconds
            # costs is a name that is not known to have been.
            os.pwrite(file, json.dumps(document).encode(), 0)
        except BaseException:
            os.close(file)
            raise
        self._ours = file

    def former(self, present: Topics) -> list[Name]:
        """Return the names that no daemon has now, the latest first, without the present one.

        Raises:
            OSError: The folder can't be read.
        """
        return [name for name in self._names() if name.topics != present][:MAX_FORMER]

    def forget(self, topics: Topics) -> None:
        """Drop a name, unless a daemon has it now."""
        file = self._file(topics)
        with contextlib.suppress(OSError):
            if _is_free(file):
                file.unlink()

    def close(self) -> None:
        """Let go of this process's name; it stays noted."""
        if self._ours is not None:
            os.close(self._ours)
            self._ours = None

    def _names(self) -> Iterator[Name]:
        try:
            files = sorted(self._folder.glob("*.json"), key=_changed_at, reverse=True)
        except FileNotFoundError:
            return
        for file in files:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
                if _is_free(file):
                    with file.open("rb") as opened:
                        yield _read(opened.read(_MAX_BYTES))

    def _file(self, topics: Topics) -> Path:
        # A name may be longer than a file's, or have characters that no file's may.
        return self._folder / f"{sha256(topics.root.encode()).hexdigest()[:32]}.json"


def _plain(name: Name) -> dict[str, str]:
    return {"base": name.topics.base, "device": name.topics.device, "boot_id": name.boot_id}


def _read(content: bytes) -> Name:
    document = json.loads(content)
    if document["format"] != _FORMAT:
        raise ValueError(document["format"])
    base, device, boot_id = (document[key] for key in ("base", "device", "boot_id"))
    if not all(isinstance(each, str) and each for each in (base, device, boot_id)):
        raise TypeError(document)
    return Name(Topics(base, device), boot_id)


def _changed_at(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _is_free(file: Path) -> bool:
    """Whether no process has this name; raises OSError where it can't be told."""
    opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _lock(opened)
    finally:
        os.close(opened)


def _lock_soon(file: int) -> bool:
    """Lock a file, past those who only look whether it is."""
    for _ in range(_TRIES):
        if _lock(file):
            return True
        time.sleep(_PAUSE_S)
    return False


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
