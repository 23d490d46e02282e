"""Which requests have begun, noted before their first text goes out: a file that no disk is waited for.

The database hears of it later, in another thread. A mark is one write of some bytes into a file that has its
space already, so that it goes to the kernel's memory: a power cut may lose it, a killed daemon does not.
Numbers in it are smaller than those that the journal gives later, so that none ever means another request.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
from collections import deque
from collections.abc import Collection
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

from edgeassist.serving.journal import Entry

log = logging.getLogger(__name__)

# So many requests may have begun of which the database has not heard.
SLOTS = 256
# The request's number, what tells it where no number was written down yet, and a check sum.
_MARK = struct.Struct("<Q16sI4x")
SIZE = SLOTS * _MARK.size
# SQLite's integers have a sign.
_MOST = (1 << 63) - 1
_NONE = bytes(16)


def identity_of(entry: Entry) -> bytes:
    """Return 16 bytes that tell a request which no number tells yet."""
    parts = (entry.key.caller.encode(), entry.key.name.encode(), entry.fingerprint)
    return blake2b(
        b"".join(len(each).to_bytes(4, "little") + each for each in parts), digest_size=16
    ).digest()


class Marks:
    """The file. `open` blocks; nothing raises: without a file nothing is noted.

    Args:
        path: Its place.

    Attributes:
        begun: The numbers that were marked when it was opened, with their places.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        # By number, or, of what an earlier run left and nobody has a number for, by identity.
        self._slots: dict[int, int] = {}
        self._loose: dict[bytes, int] = {}
        self._by_identity: set[int] = set()
        self._free: deque[int] = deque()
        self.begun: dict[int, int] = {}

    def open(self) -> None:
        """Read what earlier runs have marked; what else is in such a file is nothing."""
        try:
            self._file = _open(self._path)
            content = os.pread(self._file, SIZE, 0)
        except OSError as error:
            log.warning("%s can't be used: %s", self._path, error.strerror)
            self.close()
            return
        for slot in range(SLOTS):
            self._free.append(slot)
            mark = _read(content[slot * _MARK.size : (slot + 1) * _MARK.size])
            if mark is not None:
                number, identity = mark
                self.begun[number] = slot
                if identity != _NONE:
                    self._loose[identity] = slot

    def close(self) -> None:
        """Close it."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    @property
    def last(self) -> int:
        """The largest number in it; the journal gives larger ones only."""
        return max(self.begun, default=0)

    def know(self, waiting: Collection[int], ended: Collection[int] = ()) -> None:
        """Note which numbers the database has: these tell their requests, and nothing else does.

        Args:
            waiting: The marks of these are kept until they are settled.
            ended: Of these nobody need know any more.
        """
        for number in (*waiting, *ended):
            slot = self.begun.get(number)
            if slot is not None and slot in self._loose.values():
                self._loose = {each: other for each, other in self._loose.items() if other != slot}
                self._write(slot, number, _NONE)
        self._slots = {number: self.begun[number] for number in waiting if number in self.begun}
        # Of what nobody asks for, half of the space is left.
        for identity in list(self._loose)[: max(0, len(self._loose) - SLOTS // 2)]:
            del self._loose[identity]
        kept = {*self._slots.values(), *self._loose.values()}
        self._free = deque(slot for slot in self._free if slot not in kept)

    def loose(self, identity: bytes) -> bool:
        """Whether an earlier run had begun what it had not written down."""
        return identity in self._loose

    def adopt(self, number: int, identity: bytes) -> bool:
        """Give what an earlier run had begun its number; False where it had not."""
        slot = self._loose.pop(identity, None)
        if slot is None:
            return False
        self._take(number, slot, identity)
        return True

    def put(self, number: int, identity: bytes | None = None) -> bool:
        """Note that a request begins.

        Args:
            number: What the journal calls it.
            identity: What else tells it, while that number is not written down for good.

        Returns:
            Whether the next start will know of it.
        """
        if number in self._slots:
            return True
        if self._file is None or not self._free:
            return False
        # The one that is free for longest: what is in it is in the database long since.
        return self._take(number, self._free.popleft(), identity)

    def firm(self, number: int) -> None:
        """Note that the number is written down for good, and tells the request from now on."""
        slot = self._slots.get(number)
        if slot is not None and number in self._by_identity:
            self._by_identity.discard(number)
            self._write(slot, number, _NONE)

    def settle(self, number: int) -> None:
        """Note that the database knows, or need not know any more."""
        slot = self._slots.pop(number, None)
        if slot is not None:
            if number in self._by_identity:
                self._by_identity.discard(number)
                self._write(slot, 0, _NONE)
            self._free.append(slot)

    def _take(self, number: int, slot: int, identity: bytes | None) -> bool:
        self._slots[number] = slot
        if identity is not None:
            self._by_identity.add(number)
        return self._write(slot, number, identity or _NONE)

    def _write(self, slot: int, number: int, identity: bytes) -> bool:
        if self._file is None:
            return False
        mark = _MARK.pack(number, identity, _sum(number, identity))
        with contextlib.suppress(OSError):
            return os.pwrite(self._file, mark, slot * _MARK.size) == _MARK.size
        return False


def _open(path: Path) -> int:
    """Return a file of that size which has its space, as far as there is any."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        os.fchmod(file, 0o600)
        os.ftruncate(file, SIZE)
        with contextlib.suppress(OSError):  # no space: then a mark may fail
            os.posix_fallocate(file, 0, SIZE)
    except BaseException:
        os.close(file)
        raise
    return file


def _read(mark: bytes) -> tuple[int, bytes] | None:
    if len(mark) < _MARK.size:
        return None
    number, identity, check = _MARK.unpack(mark)
    if not 0 < number < _MOST // 2 or check != _sum(number, identity):
        return None
    return number, identity


def _sum(number: int, identity: bytes) -> int:
    return crc32(b"begun" + number.to_bytes(8, "little") + identity)
