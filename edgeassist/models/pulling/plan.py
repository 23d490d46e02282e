"""What is to be got: files with their addresses and checksums, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgeassist.errors import PullError

# As many as the kernel counts of a file.
_MOST_BYTES = 1 << 63


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a server.

    Attributes:
        url: Where it is.
        name: Where it is put, relative to the folder of the pull.
        size: Its bytes; None where nobody said.
        sha256: In hexadecimal; None where nobody said.
        token: A bearer's, for the URL's host.
        git_oid: What Git calls its content, in hexadecimal; of small files without a `sha256`.
    """

    url: str
    name: str
    size: int | None = None
    sha256: str | None = None
    token: str | None = None
    git_oid: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is got.

    Attributes:
        source: Where it is from, as `pull` takes it and the record keeps it.
        files: What is fetched.
        finish: Makes the model of what was fetched, in the folder that it is given, and returns its path
            there: a GGUF file, the first of several, or a folder.
        more_bytes: Room that `finish` needs beside the files.
        refused: What it means where the server refuses a file; None where no more is known than that.
        follow: Looks into what was fetched, and returns the plan that takes this one's place, if one does.
        name: What the model's file or folder will be called; None where only what is fetched says.
    """

    source: str
    files: tuple[Remote, ...]
    finish: Callable[[Path], Path]
    more_bytes: int = 0
    refused: str | None = None
    follow: Callable[[Path], Plan | None] | None = None
    name: str | None = None

    @property
    def total(self) -> int | None:
        """Bytes of all files; None where one is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def safe_name(name: str) -> str:
    """Return a path within a folder, as a server gave it.

    Raises:
        PullError: It leads out of the folder, is hidden, empty, or would do something to a terminal.
    """
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    if hidden or path.is_absolute() or not path.parts or "\\" in name or not name.isprintable():
        raise PullError(f"a file is called {name!r} there, which is no name for a model's file")
    return path.as_posix()


def size_or_none(value: Any) -> int | None:
    """Return a count of bytes, as JSON of a server has it; None for what is none, or no file has."""
    return value if isinstance(value, int) and 0 <= value < _MOST_BYTES else None


def digest_or_none(value: Any) -> str | None:
    """Return a SHA-256 in hexadecimal, as servers write it."""
    text = str(value).removeprefix("sha256:").lower()
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else None
