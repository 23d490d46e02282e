"""Requests that were answered a moment ago, so that one sent twice is not run twice. Sans-I/O.

MQTT's QoS 1 delivers at least once, and a client that lost its connection sends again what it had no
acknowledgement for. The same request under the same key gets the same end again, without work.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from edgeassist.protocol.events import Done
from edgeassist.serving.caller import Key

MAX_ANSWERS = 256
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Answer:
    """An end, kept as it is sent: parsed, its metadata could take many times the room."""

    fingerprint: bytes
    at: float
    payload: bytes


@dataclass(slots=True)
class Replays:
    """The last answers by key, bounded in number, bytes and age (seconds)."""

    remember_s: float
    _answers: OrderedDict[Key, _Answer] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def remember(self, key: Key, fingerprint: bytes, done: Done, now: float) -> None:
        """Keep how a request ended."""
        self._drop(key)
        answer = _Answer(fingerprint, now, done.payload())
        self._answers[key] = answer
        self._bytes += len(answer.payload)
        while len(self._answers) > MAX_ANSWERS or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._answers)))

    def find(self, key: Key, fingerprint: bytes, now: float) -> Done | None:
        """Return how that very request ended; None where it did not, or too long ago."""
        while self._answers and now - next(iter(self._answers.values())).at >= self.remember_s:
            self._drop(next(iter(self._answers)))
        answer = self._answers.get(key)
        if answer is None or answer.fingerprint != fingerprint:
            return None
        return Done.model_validate_json(answer.payload)

    def _drop(self, key: Key) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self._bytes -= len(answer.payload)
