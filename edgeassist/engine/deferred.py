"""Bounds that begin behind a thought. Sans-I/O, but for what bounds the answer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING

from edgeassist.engine.backends.base import Bound
from edgeassist.engine.prompting.marking import Marking
from edgeassist.engine.step import Token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Stage(Enum):
    """How far an answer is."""

    BEGINNING = auto()
    """It may begin with a thought, or be bound from its first token on."""
    THOUGHT = auto()
    LEAD = auto()
    """What the family writes between a thought and the answer."""
    ANSWER = auto()


class Deferred:
    """Fulfils `Bound`: a thought may be anything, and what follows it is bound.

    A token that ends the answer may be picked within a thought: it gives way to what closes the thought
    (`Answer.forced`).

    Args:
        bound: What bounds the answer, at its beginning.
        marking: How the model marks thoughts.
        thinks: Whether the answer begins within one; if not, the model may open one, or not.
    """

    def __init__(self, bound: Bound, marking: Marking, *, thinks: bool) -> None:
        self._bound = bound
        self._marking = marking
        self._thinks = thinks
        self._ids: list[int] = []
        # How many tokens the bound has taken, and whether they can be its.
        self._taken = 0
        self._fits = True
        self._stage = _Stage.ANSWER
        # What of a mark is there, or of what comes behind it.
        self._held = b""
        self._lead: Sequence[Token] = ()
        self._begin()

    @property
    def problem(self) -> str | None:
        """Why the answer can't go on (`Bound.problem`)."""
        return None if self._stage is _Stage.THOUGHT else self._bound.problem

    def allows(self, token: int) -> bool:
        """Whether that token may come next (`Bound.allows`)."""
        stage = self._stage
        if stage is _Stage.ANSWER:
            return self._bound.allows(token)
        if stage is _Stage.LEAD:
            return token == self._lead[0].id
        known = self._marking.token(token)
        if stage is _Stage.THOUGHT:
            return known.ends or self._goes_on(self._held + known.piece)
        return self._opens(known) or (self._fits and self._bound.allows(token))

    def limit(self, logits: NDArray[np.float32]) -> None:
        """Leave only what may come next, in place (`Bound.limit`)."""
        match self._stage:
            case _Stage.ANSWER:
                self._bound.limit(logits)
            case _Stage.LEAD:
                _leave(logits, self._lead[0].id)
            case _Stage.THOUGHT:
                logits[self._marking.crossing(self._held)] = -inf
            case _Stage.BEGINNING:
                (first, *_) = self._marking.next_of_opening(self._held)
                if self._fits:
                    kept = logits[first.id]
                    self._bound.limit(logits)
                    logits[first.id] = kept
                else:
                    _leave(logits, first.id)

    def accept(self, token: int) -> None:
        """Go on with a token (`Bound.accept`)."""
        known = self._marking.token(token)
        if known.ends and self._stage is _Stage.THOUGHT:
            return
        self._ids.append(token)
        match self._stage:
            case _Stage.ANSWER:
                self._take(token)
            case _Stage.LEAD:
                self._follow(self._held + known.piece)
            case _Stage.THOUGHT:
                self._think(self._held + known.piece)
            case _Stage.BEGINNING:
                self._start(known)

    def forced(self) -> list[Token]:
        """Return what must come next, and go on with it (`Bound.forced`)."""
        lead: Sequence[Token] = ()
        match self._stage:
            case _Stage.THOUGHT:
                return []
            case _Stage.BEGINNING:
                return self._complete()
            case _Stage.LEAD:
                lead = self._lead
                self._ids += [token.id for token in lead]
                self._stage = _Stage.ANSWER
            case _Stage.ANSWER:
                pass
        return [*lead, *self._bound_forced()]

    def rewind(self, count: int) -> None:
        """Take back the last tokens (`Bound.rewind`): begins anew, since it is rare."""
        ids = self._ids[: len(self._ids) - count]
        self._give_back()
        self._ids, self._fits = [], True
        self._begin()
        for token in ids:
            self.accept(token)

    # -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._held = b""
        if self._thinks:
            self._stage = _Stage.THOUGHT
        else:
            self._stage = _Stage.BEGINNING if self._marking.may_open(b"") else _Stage.ANSWER

    def _goes_on(self, thought: bytes) -> bool:
        """Whether no token of a thought reaches into the answer."""
        return not (self._marking.closed(thought) or b"").strip()

    def _opens(self, token: Token) -> bool:
        if token.ends or not token.piece:
            return False
        held = self._held + token.piece
        thought = self._marking.opened(held)
        return self._marking.may_open(held) if thought is None else self._goes_on(thought)

    def _start(self, token: Token) -> None:
        opens = self._opens(token)
        if self._fits and (not opens or self._bound.allows(token.id)):
            self._take(token.id)
        else:
            self._give_back()
            self._fits = False
        self._held += token.piece
        if not opens:
            self._stage = _Stage.ANSWER
        elif (thought := self._marking.opened(self._held)) is not None:
            self._give_back()
            self._stage = _Stage.THOUGHT
            self._think(thought)

    def _complete(self) -> list[Token]:
        """Return the end of an answer that is complete, although a mark may begin so too; nothing else."""
        if not self._held or not self._fits:
            return []
        tokens = self._bound.forced()
        if tokens and tokens[0].ends:
            self._stage = _Stage.ANSWER
            return tokens
        self._bound.rewind(sum(not token.ends for token in tokens))
        return []

    def _think(self, thought: bytes) -> None:
        after = self._marking.closed(thought)
        if after is None:
            self._held = self._marking.held(thought)
        else:
            self._follow(after)

    def _follow(self, after: bytes) -> None:
        self._held = after
        self._lead = self._marking.lead(after)
        self._stage = _Stage.LEAD if self._lead else _Stage.ANSWER

    def _bound_forced(self) -> list[Token]:
        tokens = self._bound.forced()
        ids = [token.id for token in tokens if not token.ends]
        self._ids += ids
        self._taken += len(ids)
        return tokens

    def _take(self, token: int) -> None:
        self._bound.accept(token)
        self._taken += 1

    def _give_back(self) -> None:
        self._bound.rewind(self._taken)
        self._taken = 0


def _leave(logits: NDArray[np.float32], token: int) -> None:
    kept = logits[token]
    logits[:] = -inf
    logits[token] = kept
