"""KV states on disk: what the first prompt after a restart need not compute again.

A state fits one model, one form of the KV cache, one world and one list of tokens. All of these are in its
key, which is its file's name, and its digest is checked before it is used. A damaged file is deleted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeassist.engine.kv.world import World

log = logging.getLogger(__name__)

_SUFFIX = ".kv"
_UNFINISHED = ".kv-part"
# Of the file and of its name's key. 2: the key has a world.
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class StateKey:
    """What a state belongs to.

    Attributes:
        model_sha256: Of the file.
        form: What decides the meaning of the bytes: library version, types of the KV cache.
        world: What decides the KV values beside model and tokens.
        tokens: Whose KV entries they are.
    """

    model_sha256: str
    form: str
    world: World
    tokens: Sequence[int]

    @property
    def name(self) -> str:
        """The name of its file."""
        fields = json.dumps({"format": _FORMAT, **asdict(self)})
        return hashlib.sha256(fields.encode()).hexdigest()[:32] + _SUFFIX


class StateStore:
    """A folder of states.

    Args:
        folder: Made when the first state is saved.
        most_bytes: How many bytes they may take together; the least recently used are deleted first.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def load(self, key: StateKey) -> bytes | None:
        """Return a state; None if there is none, or only a damaged one."""
        path = self._folder / key.name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("can't read the saved KV state %s: %s", path, error.strerror)
            return None
        header, _, state = content.partition(b"\n")
        if header != _header(state):
            self.discard(key, "it is damaged")
            return None
        try:
            os.utime(path)
        except OSError:
            log.debug("can't note that %s was used", path)
        return state

    def save(self, key: StateKey, state: bytes | bytearray) -> None:
        """Save a state atomically; a failure is only logged."""
        if len(state) > self._most_bytes:
            log.warning(
                "the KV state of the system prompt takes %d bytes and engine.state_mb allows %d: "
                "it is computed again after each start",
                *(len(state), self._most_bytes),
            )
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._evict(self._most_bytes - len(state))
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=_UNFINISHED, delete=False) as file:
                try:
                    file.write(_header(state) + b"\n" + state)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).replace(self._folder / key.name)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            log.warning("can't keep the KV state in %s: %s", self._folder, error.strerror)

    def discard(self, key: StateKey, why: str) -> None:
        """Delete a state that can't be used."""
        log.warning("discarded the saved KV state %s: %s", key.name, why)
        try:
            (self._folder / key.name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("can't delete it: %s", error.strerror)

    def _evict(self, most_bytes: int) -> None:
        """Delete the least recently used until the rest fits, and what interrupted saves left behind."""
        for path in self._folder.glob(f"*{_UNFINISHED}"):
            path.unlink(missing_ok=True)
        kept = 0
        states = self._folder.glob(f"*{_SUFFIX}")
        for path in sorted(states, key=lambda each: each.stat().st_mtime, reverse=True):
            kept += path.stat().st_size
            if kept > most_bytes:
                path.unlink(missing_ok=True)


def _header(state: bytes | bytearray) -> bytes:
    digest = hashlib.blake2b(state, digest_size=16).hexdigest()
    return json.dumps({"format": _FORMAT, "bytes": len(state), "blake2b": digest}).encode()
