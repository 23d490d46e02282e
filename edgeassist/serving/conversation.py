"""Sessions: what was said before, bounded and expiring. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from edgeassist.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn: what was asked and what was answered."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is remembered: conversations, turns of each, and seconds without use."""

    count: int
    turns: int
    expire_s: float


@dataclass(slots=True)
class _History:
    used: float
    turns: list[Exchange] = field(default_factory=list)


@dataclass(slots=True)
class Conversations:
    """Histories by key, the least recently used first to go."""

    bounds: Bounds
    _histories: OrderedDict[str, _History] = field(default_factory=OrderedDict)

    def recall(self, key: str, now: float) -> list[Exchange]:
        """Return what was said in that conversation, oldest first; nothing in one that is new."""
        self._expire(now)
        history = self._histories.get(key)
        return [] if history is None else list(history.turns)

    def require(self, key: str, name: str, now: float) -> None:
        """Raise an InvalidRequestError unless the conversation is known."""
        if not self.recall(key, now):
            raise InvalidRequestError(
                f"the session {name!r} is not known: it never began, was not used for "
                f"{self.bounds.expire_s:g} s, had to make room, or the daemon started anew; "
                "ask without resume to begin it",
            )

    def remember(self, key: str, exchange: Exchange, now: float) -> None:
        """Add a turn; the oldest turn or conversation makes room for it."""
        self._expire(now)
        history = self._histories.setdefault(key, _History(now))
        history.used = now
        history.turns.append(exchange)
        del history.turns[: -self.bounds.turns]
        self._histories.move_to_end(key)
        while len(self._histories) > self.bounds.count:
            self._histories.popitem(last=False)

    def _expire(self, now: float) -> None:
        while self._histories:
            key, oldest = next(iter(self._histories.items()))
            if now - oldest.used < self.bounds.expire_s:
                return
            del self._histories[key]
