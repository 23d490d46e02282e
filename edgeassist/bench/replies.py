"""An answer as its client saw it arrive, and what can be said of one or of several. Pure.

All times are seconds of one clock, the client's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgeassist.bench.figures import Answered, Sample

# What a text begins with whose first token was a part of a character.
NO_CHARACTER = "\ufffd"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of an answer, and when it arrived."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """The end of an answer: when it arrived, and what the other side counted.

    Attributes:
        at: When.
        prompt_tokens: Those of the chat template included.
        cached_tokens: Of them, those that cost no work; None where that is not told.
        completion_tokens: Without one that ended the turn.
        by_itself: Whether the model ended its turn, and computed a token more to say so.
        overhead: What part of the time was not spent in the model, 0 to 1; None where that is not told.
    """

    at: float
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    by_itself: bool
    overhead: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `begun` is when it was asked for."""

    begun: float
    texts: tuple[Text, ...]
    end: End

    @property
    def first_at(self) -> float:
        """When the first text arrived; the end, where there was none."""
        return self.texts[0].at if self.texts else self.end.at

    @property
    def ttft_s(self) -> float:
        """Seconds to the first text."""
        return self.first_at - self.begun

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(text.text for text in self.texts)

    @property
    def sample(self) -> Sample:
        """The tokens after the first one, and how long they took."""
        steps = decode_steps(self.end.completion_tokens, by_itself=self.end.by_itself)
        return Sample(self.ttft_s, self.end.at - self.first_at, steps)

    @property
    def clean(self) -> bool:
        """Whether the first text came with the first token."""
        return not self.text.startswith(NO_CHARACTER)

    @property
    def answered(self) -> Answered:
        """What is kept of it."""
        return Answered(
            self.end.prompt_tokens,
            self.end.cached_tokens,
            self.end.completion_tokens,
            len(self.texts),
            ttft_ms=1000 * self.ttft_s,
            total_ms=1000 * (self.end.at - self.begun),
        )


def decode_steps(completion_tokens: int, *, by_itself: bool) -> int:
    """Return how many tokens were computed after the first one.

    An answer that ends by itself took one more than it counts: the token that says so.
    """
    return max(0, completion_tokens - 1) + by_itself


def rate_in_all(rounds: Sequence[Sequence[Reply]]) -> float:
    """Return tokens a second of all answers together.

    Args:
        rounds: Answers that were asked for at the same time; the time between rounds does not count.
    """
    tokens = sum(reply.end.completion_tokens for replies in rounds for reply in replies)
    seconds = sum(
        max(reply.end.at for reply in replies) - min(reply.begun for reply in replies) for replies in rounds
    )
    return tokens / seconds


def gaps(texts: Sequence[Text], since: float, until: float) -> Iterator[float]:
    """Yield the seconds between texts that follow each other, of all pairs that touch a stretch of time."""
    for before, after in pairwise(texts):
        if after.at > since and before.at < until:
            yield after.at - before.at
