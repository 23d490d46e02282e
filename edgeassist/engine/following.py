"""What comes behind a sampled token without being sampled: what bounds an answer, or ends its thought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgeassist.engine.answer import Answer
from edgeassist.engine.backends.base import Bound
from edgeassist.engine.messages import Thinking
from edgeassist.engine.step import Sampled, Token


def follow(answers: Iterable[Answer], sampled: Sampled) -> tuple[Sampled, list[Answer]]:
    """Return by slot what must follow on what was sampled, and the answers that can't go on.

    What was sampled of the latter is not in their bounds.
    """
    following: dict[int, Sequence[Token]] = {}
    lost: list[Answer] = []
    for answer in answers:
        bound, slot = answer.bound, answer.sequence.slot
        if slot not in sampled:
            continue
        tokens = answer.forced(sampled[slot])
        if bound is not None:
            if tokens or not sampled[slot][-1].ends:
                for token in tokens:
                    bound.accept(token.id)
                tokens = [*tokens, *bound.forced()]
            if bound.problem is not None:
                lost.append(answer)
        if tokens:
            following[slot] = tokens
    return following, lost


def opening(bound: Bound, limit: int) -> Sequence[Token]:
    """Return what an answer must begin with; nothing if that is all that it may have.

    One token at least is sampled, if only the end of an answer that was the only one.

    Args:
        bound: At its beginning; it goes on with what is returned.
        limit: The most tokens of the answer.
    """
    tokens = [token for token in bound.forced() if not token.ends]
    if len(tokens) < limit:
        return tokens
    bound.rewind(len(tokens))
    return ()


def budget_of(thinking: Thinking, limit: int) -> int:
    """Return the most tokens of an answer's thoughts; `limit` is the most of the answer."""
    if thinking.wanted is False:
        return 0
    return limit // 2 if thinking.budget is None else thinking.budget
