"""The SHA-256 of models' files, computed once for each file as it is, and kept between runs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeassist.models.files.gguf_parts import parts_of

NAME = "digests.json"
_LOCK = "digests.lock"
_FORMAT = 1
# Of the files that were served last.
_MOST = 16
# A model may be in a hundred parts.
_BYTES = 1 << 20
# A file that changed so short a time before may change again without another time stamp: FAT's are of two
# seconds.
_SETTLED_NS = 3_000_000_000

# Of one file: inode, size, and when its content and its inode changed, in nanoseconds.
_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Digests:
    """What is kept in a folder.

    A file counts as the same while it has the inode, the size and the times of its last changes that it had.
    Its owner can't set the last of them.

    Attributes:
        folder: Need not exist; it is made for its owner alone.
    """

    folder: Path

    def known(self, path: Path) -> str | None:
        """Return the digest of a model's file, or of its parts together; None: it has to be computed."""
        try:
            stamps = _stamps_of(path)
        except OSError:
            return None
        return next(
            (sha256 for name, kept, sha256 in self._read() if (name, kept) == (str(path), stamps)), None
        )

    def compute(self, path: Path) -> str:
        """Return that digest, and keep it; takes as long as to read the file.

        Whoever computes one here meanwhile is waited for: it may be the same.

        Raises:
            OSError: It can't be read.
        """
        with self._alone():
            if (known := self.known(path)) is not None:
                return known
            begun, before = time.time_ns(), _stamps_of(path)
            sha256 = sha256_of(path)
            if before == _stamps_of(path) and _settled(before, begun):
                with contextlib.suppress(OSError):  # a full disk: computed again the next time
                    self._keep(path, before, sha256)
            return sha256

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # nothing can be kept there, so nobody is waited for
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = stack.enter_context((self.folder / _LOCK).open("ab"))
                fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets go of it with whoever has it
            yield

    def _keep(self, path: Path, stamps: list[_Stamp], sha256: str) -> None:
        others = [each for each in self._read() if each[0] != str(path)]
        files = [
            {"path": name, "stamps": kept, "sha256": digest}
            for name, kept, digest in [(str(path), stamps, sha256), *others][:_MOST]
        ]
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{NAME}-", dir=self.folder)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, "files": files}, file)
            Path(name).replace(self.folder / NAME)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    def _read(self) -> list[tuple[str, list[_Stamp], str]]:
        """Return path, stamps and digest of each; what is damaged counts as if it was not there."""
        try:
            with (self.folder / NAME).open("rb") as file:
                document = json.loads(file.read(_BYTES))
            if document["format"] != _FORMAT:
                return []
            return [_kept(each) for each in document["files"]]
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return []


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a model's file, or of the parts of one together.

    Raises:
        OSError: It can't be read.
    """
    digest = hashlib.sha256()
    for part in parts_of(path):
        with part.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def _stamps_of(path: Path) -> list[_Stamp]:
    return [
        (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        for status in (part.stat() for part in parts_of(path))
    ]


def _settled(stamps: Sequence[_Stamp], now_ns: int) -> bool:
    return all(now_ns - max(modified, changed) > _SETTLED_NS for _, _, modified, changed in stamps)


def _kept(plain: dict[str, Any]) -> tuple[str, list[_Stamp], str]:
    path, stamps, sha256 = plain["path"], plain["stamps"], plain["sha256"]
    if not isinstance(path, str) or not isinstance(sha256, str) or len(bytes.fromhex(sha256)) != 256 // 8:
        raise ValueError(plain)
    return path, [_stamp(each) for each in stamps], sha256


def _stamp(plain: Sequence[int]) -> _Stamp:
    inode, size, modified, changed = map(int, plain)
    return inode, size, modified, changed
