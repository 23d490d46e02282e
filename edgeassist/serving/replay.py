"""Requests that were answered a moment ago, so that one sent twice is not run twice. Pure.

MQTT's QoS 1 delivers at least once, and a client that lost its connection sends again what it had no
acknowledgement for. The same id with the same request gets the same answer again, without work.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from edgeassist.protocol.packets import Outbound

MAX_ANSWERS = 256
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Answer:
    digest: bytes
    at: float
    finals: tuple[Outbound, ...]

    @property
    def size(self) -> int:
        return sum(len(message.payload) for message in self.finals)


@dataclass(slots=True)
class Replays:
    """The last answers by id, bounded in number, bytes and age (seconds)."""

    remember_s: float
    _answers: OrderedDict[str, _Answer] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def remember(self, request: str, digest: bytes, finals: tuple[Outbound, ...], now: float) -> None:
        """Keep the messages that ended an answer."""
        self._drop(request)
        answer = _Answer(digest, now, finals)
        self._answers[request] = answer
        self._bytes += answer.size
        while len(self._answers) > MAX_ANSWERS or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._answers)))

    def find(self, request: str, digest: bytes, now: float) -> tuple[Outbound, ...] | None:
        """Return how that very request was answered; None where it was not, or too long ago."""
        while self._answers and now - next(iter(self._answers.values())).at >= self.remember_s:
            self._drop(next(iter(self._answers)))
        answer = self._answers.get(request)
        return answer.finals if answer is not None and answer.digest == digest else None

    def _drop(self, request: str) -> None:
        answer = self._answers.pop(request, None)
        if answer is not None:
            self._bytes -= answer.size
