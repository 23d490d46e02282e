"""KV states on disk: what need not be computed again after a restart.

A state fits one model, one form of the KV cache, one world and one list of tokens. All of these are in its
key, whose hash is its file's name, and in the head of the file, so that a folder can be listed without a
prompt and without reading a state. Head and state have a digest each; a damaged file is deleted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
import time
from array import array
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from edgeassist.engine.kv.budget import Budget
from edgeassist.engine.kv.prefixes import Kind
from edgeassist.engine.kv.world import World
from edgeassist.engine.prompting.transcripts import Transcript

log = logging.getLogger(__name__)

_MIB = 1 << 20
# A bound on the number of files, since each one's tokens are compared with new prompts.
MOST = 64
# What nobody used for so long goes: it may hold what somebody said.
OLDEST_S = 30 * 86_400
_SUFFIX = ".kv"
_UNFINISHED = ".kv-part"
_MAGIC = b"edgeassist-kv"
# Of the file and of its name's key. 2: the key has a world. 3: the head has the key.
_FORMAT = 3
_LONGEST_LINE = 128
_MOST_HEAD = 16 << 20
# Not the last of a disk: updates and logs need it.
_LEAST_FREE = 64 << 20
_TOUCH_EVERY_S = 3600
_LONGEST_SAVE_S = 600


@dataclass(frozen=True, slots=True)
class StateKey:
    """What a state belongs to.

    Attributes:
        model_sha256: Of the file.
        form: What decides the meaning of the bytes: library version, types of the KV cache.
        world: What decides the KV values beside model and tokens.
        tokens: Whose KV entries they are, as `array("q")`: it compares fast, and equals nothing else.
    """

    model_sha256: str
    form: str
    world: World
    tokens: array[int]

    @property
    def name(self) -> str:
        """The name of its file."""
        fields = (_FORMAT, self.model_sha256, self.form, self.world, list(self.tokens))
        return hashlib.sha256(msgspec.msgpack.encode(fields)).hexdigest()[:32] + _SUFFIX


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What is known of a state without reading it.

    Attributes:
        key: What it belongs to.
        kind: Why it is kept.
        bytes: Of the state.
        transcript: Of the conversation that it is the end of; None: of none that is known.
    """

    key: StateKey
    kind: Kind
    bytes: int
    transcript: Transcript | None = None


class _Head(msgspec.Struct, frozen=True, array_like=True):
    model_sha256: str
    form: str
    world: tuple[str, ...]
    tokens: list[int]
    kind: str
    bytes: int
    digest: str
    text: str = ""
    told: tuple[int, ...] = ()


class StateStore:
    """A folder of states. One thread writes, another may read meanwhile.

    Args:
        folder: Made when the first state is saved, for its owner alone.
        most_bytes: How many bytes they may take together; the least recently used are deleted first, and
            pinned ones last.
        budget: How many bytes may be written in a day; None: any number.
        least_free: How many bytes of the disk are left free.

    Attributes:
        folder: It.
    """

    def __init__(
        self, folder: Path, most_bytes: int, budget: Budget | None = None, *, least_free: int = _LEAST_FREE
    ) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self._budget = budget
        self._least_free = least_free
        self._known: dict[str, Saved] = {}
        self._touched: dict[str, float] = {}
        self._said_too_large = False
        self._lock = threading.Lock()

    @property
    def known(self) -> list[Saved]:
        """What was found by `scan` or saved since, and is still there."""
        with self._lock:
            return list(self._known.values())

    @property
    def empty(self) -> bool:
        """Whether there is no state in the folder."""
        return not any(self.folder.glob(f"*{_SUFFIX}"))

    def allows(self, size: int) -> bool:
        """Whether a state of so many bytes may be written today; the first that never may is logged."""
        return not self._is_too_large(size) and (
            self._budget is None or self._budget.allows(size, time.time())
        )

    def _is_too_large(self, size: int) -> bool:
        limits = {"engine.state_mb": self._most_bytes}
        if self._budget is not None:
            limits["engine.state_mb_per_day"] = self._budget.most_bytes
        setting = min(limits, key=limits.__getitem__)
        if size <= limits[setting]:
            return False
        if not self._said_too_large:
            self._said_too_large = True
            log.warning(
                "the KV state of a prompt takes %d MiB and %s allows %d: what is as long is read again after "
                "each start",
                *(-(-size // _MIB), setting, limits[setting] // _MIB),
            )
        return True

    def scan(self) -> None:
        """Read the head of each file; what is of an older format, damaged, or unused for long is deleted."""
        for path in self.folder.glob(f"*{_SUFFIX}"):
            try:
                with path.open("rb") as file:
                    head = _read_head(file)
                used = path.stat().st_mtime
            except OSError as error:
                log.warning("can't read the saved KV state %s: %s", path, error.strerror)
                continue
            saved = None if head is None else _saved(head)
            old = saved is not None and saved.kind is not Kind.PINNED and time.time() - used > OLDEST_S
            if saved is None or old or saved.key.name != path.name:
                _delete(path)
                continue
            with self._lock:
                self._known[path.name] = saved

    def load(self, key: StateKey) -> bytes | None:
        """Return a state; None if there is none, or only a damaged one."""
        name = key.name
        path = self.folder / name
        try:
            with path.open("rb") as file:
                head = _read_head(file)
                state = b"" if head is None else file.read()
        except FileNotFoundError:
            self._forget([name])
            return None
        except OSError as error:
            log.warning("can't read the saved KV state %s: %s", path, error.strerror)
            self._forget([name])
            return None
        saved = None if head is None else _saved(head)
        if head is None or saved is None or saved.key.name != name or _digest(state) != head.digest:
            self.discard(key, "it is damaged")
            return None
        self.touch(key)
        return state

    def touch(self, key: StateKey) -> None:
        """Note that a state was used; not on disk each time."""
        name, now = key.name, time.time()
        if now - self._touched.get(name, 0.0) < _TOUCH_EVERY_S:
            return
        self._touched[name] = now
        try:
            os.utime(self.folder / name)
        except OSError:
            log.debug("can't note that %s was used", name)

    def save(self, saved: Saved, state: bytes | bytearray, instead_of: Collection[StateKey] = ()) -> bool:
        """Save a state atomically; a failure is only logged.

        Args:
            saved: What it is.
            state: Of `saved.bytes` bytes.
            instead_of: What is deleted once it is saved.

        Returns:
            Whether it is saved.
        """
        if self._is_too_large(len(state)):
            return False
        name = saved.key.name
        head = _head_of(saved, state)
        size = len(head) + len(state)
        try:
            # Before the budget, whose file is in it.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._budget is not None and not self._budget.spend(size, time.time()):
                log.info("no KV state is written any more today: engine.state_mb_per_day is used up")
                return False
            self._evict(self._most_bytes - len(state))
            status = os.statvfs(self.folder)
            if status.f_bavail * status.f_frsize < size + self._least_free:
                log.warning("there is no room on the disk for a KV state of %d bytes", size)
                return False
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=_UNFINISHED, delete=False) as file:
                try:
                    file.write(head)
                    file.write(state)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).replace(self.folder / name)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            log.warning("can't keep the KV state in %s: %s", self.folder, error.strerror)
            return False
        with self._lock:
            self._known[name] = saved
        for key in instead_of:
            if key.name != name:
                self._delete(key.name)
        return True

    def discard(self, key: StateKey, why: str) -> None:
        """Delete a state that can't be used."""
        log.warning("discarded the saved KV state %s: %s", key.name, why)
        self._delete(key.name)

    def _delete(self, name: str) -> None:
        _delete(self.folder / name)
        self._forget([name])

    def _forget(self, names: Collection[str]) -> None:
        with self._lock:
            for name in names:
                self._known.pop(name, None)

    def _evict(self, most_bytes: int) -> None:
        """Delete the least recently used until the rest fits, and what interrupted saves left behind."""
        for path in self.folder.glob(f"*{_UNFINISHED}"):
            # Another engine may be at it: the one that this one replaces.
            if time.time() - path.stat().st_mtime > _LONGEST_SAVE_S:
                path.unlink(missing_ok=True)
        with self._lock:
            pinned = {name for name, saved in self._known.items() if saved.kind is Kind.PINNED}
        kept = 0
        states = [(path, path.stat()) for path in self.folder.glob(f"*{_SUFFIX}")]
        states.sort(key=lambda each: (each[0].name in pinned, each[1].st_mtime), reverse=True)
        for count, (path, status) in enumerate(states, start=1):
            kept += status.st_size
            if kept > most_bytes or count >= MOST:
                self._delete(path.name)


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("can't delete %s: %s", path, error.strerror)


def _digest(content: bytes | bytearray) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _head_of(saved: Saved, state: bytes | bytearray) -> bytes:
    key, transcript = saved.key, saved.transcript
    head = msgspec.msgpack.encode(
        _Head(
            key.model_sha256,
            key.form,
            key.world,
            list(key.tokens),
            saved.kind.name,
            len(state),
            _digest(state),
            transcript.text if transcript else "",
            tuple(transcript.tokens) if transcript else (),
        )
    )
    return b"%s %d %d %s\n%s" % (_MAGIC, _FORMAT, len(head), _digest(head).encode(), head)


def _read_head(file: BinaryIO) -> _Head | None:
    """Return what a file begins with; None if it is of another format or damaged."""
    try:
        magic, number, length, digest = file.readline(_LONGEST_LINE).removesuffix(b"\n").split(b" ")
        if (magic, int(number)) != (_MAGIC, _FORMAT) or not 0 < int(length) <= _MOST_HEAD:
            return None
        head = file.read(int(length))
        return msgspec.msgpack.decode(head, type=_Head) if _digest(head).encode() == digest else None
    except (ValueError, RecursionError):  # among them msgspec.DecodeError
        return None


def _saved(head: _Head) -> Saved | None:
    """Return what a head describes; None if that can't be."""
    try:
        kind, tokens = Kind[head.kind], array("q", head.tokens)
    except (KeyError, OverflowError):
        return None
    transcript = Transcript(head.text, head.told) if head.told else None
    key = StateKey(head.model_sha256, head.form, head.world, tokens)
    return Saved(key, kind, head.bytes, transcript)
