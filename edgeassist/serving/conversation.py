"""Sessions: what was said before, bounded and expiring. Sans-I/O; time is passed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from edgeassist.engine.messages import ChatMessage
from edgeassist.errors import InvalidRequestError
from edgeassist.serving.caller import Key

# One exchange: what was asked and all that was answered, any roles, any number of messages.
Turn = tuple[ChatMessage, ...]


def settle(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return a conversation without the calls of which results are missing; what was said stays."""
    settled = []
    for at, message in enumerate(messages):
        results = takewhile(lambda each: each.role == "tool", messages[at + 1 :]) if message.calls else ()
        answered = {each.call_id for each in results}
        if any(call.id not in answered for call in message.calls):
            settled.append(msgspec.structs.replace(message, calls=()))
        else:
            settled.append(message)
    return settled


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is remembered: conversations, turns of each, and seconds without use."""

    count: int
    turns: int
    expire_s: float


@dataclass(slots=True)
class _History:
    used: float
    turns: list[Turn] = field(default_factory=list)


@dataclass(slots=True)
class Conversations:
    """Histories by key; the least recently used goes first."""

    bounds: Bounds
    _histories: OrderedDict[Key, _History] = field(default_factory=OrderedDict)

    def recall(self, session: Key, now: float) -> list[ChatMessage]:
        """Return what was said in that conversation, oldest first; nothing in a new one."""
        self._expire(now)
        history = self._histories.get(session)
        return [] if history is None else [message for turn in history.turns for message in turn]

    def require(self, session: Key, now: float) -> None:
        """Raise an InvalidRequestError unless the conversation is known."""
        if not self.recall(session, now):
            raise InvalidRequestError(
                f"the session {session.name!r} is not known: it never began, was not used for "
                f"{self.bounds.expire_s:g} s, had to make room, or the daemon started anew; "
                "ask without resume to begin it",
            )

    def remember(self, session: Key, turn: Turn, now: float) -> None:
        """Add a turn; the oldest turn or conversation makes room for it.

        What of it stands before a user's message are results of tools, and what was answered to them: the
        turn before goes on with it. If that was forgotten meanwhile, there is nothing that could go on.
        """
        self._expire(now)
        rest = (
            tuple(takewhile(lambda message: message.role != "user", turn)) if turn[0].role == "tool" else ()
        )
        if rest and session not in self._histories:
            return
        history = self._histories.setdefault(session, _History(now))
        history.used = now
        if rest:
            history.turns[-1] += rest
        if begun := turn[len(rest) :]:
            history.turns.append(begun)
        del history.turns[: -self.bounds.turns]
        self._histories.move_to_end(session)
        while len(self._histories) > self.bounds.count:
            self._histories.popitem(last=False)

    def forget(self, callers: str) -> None:
        """Forget all conversations of callers whose name begins so."""
        for session in [each for each in self._histories if each.caller.startswith(callers)]:
            del self._histories[session]

    def _expire(self, now: float) -> None:
        while self._histories:
            session, oldest = next(iter(self._histories.items()))
            if now - oldest.used < self.bounds.expire_s:
                return
            del self._histories[session]
