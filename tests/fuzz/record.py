"""Memory that the child writes and its parent reads: what is being tried, also when the child dies."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import Self

from tests.fuzz.mutation import MOST_BYTES

# How many inputs were begun, the target's number, the input's length.
_HEAD = struct.Struct("<QII")
SIZE = _HEAD.size + 4 * MOST_BYTES


@dataclass(frozen=True, slots=True)
class Trial:
    """What a child tries: the how-many-eth input, of which target."""

    count: int
    target: int
    data: bytes


class Record:
    """The page.

    Args:
        file: An open file of `SIZE` bytes, which both processes have.
    """

    def __init__(self, file: int) -> None:
        self._page = mmap.mmap(file, SIZE)
        # Where another child ended: its parent waits for the count to move.
        self._count = self.count

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the memory."""
        self._page.close()

    def begin(self, target: int, data: bytes) -> None:
        """Note what is tried next."""
        self._count += 1
        data = data[: SIZE - _HEAD.size]
        self._page[_HEAD.size : _HEAD.size + len(data)] = data
        self._page[: _HEAD.size] = _HEAD.pack(self._count, target, len(data))

    @property
    def count(self) -> int:
        """How many inputs were begun."""
        return int(_HEAD.unpack_from(self._page)[0])

    def read(self) -> Trial:
        """Return what is tried, or was tried last."""
        count, target, length = _HEAD.unpack_from(self._page)
        return Trial(count, target, self._page[_HEAD.size : _HEAD.size + length])
