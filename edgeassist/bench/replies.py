"""Answers as the client saw them arrive, and figures derived from them. Pure functions.

All times are seconds on the client's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgeassist.bench.figures import Answered, Sample

# A text starts with this if its first token was an incomplete UTF-8 sequence.
NO_CHARACTER = "\ufffd"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of an answer and its arrival time."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """The end of an answer, with the server's counts.

    Attributes:
        at: Arrival time.
        prompt_tokens: Including those of the chat template.
        cached_tokens: Prompt tokens served from the prefix cache; None if not reported.
        completion_tokens: Without the end-of-turn token.
        by_itself: True if the model generated an end-of-turn token.
        overhead: Share of the engine's time spent outside the model, 0 to 1; None if not reported.
    """

    at: float
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    by_itself: bool
    overhead: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `begun` is the time of the question."""

    begun: float
    texts: tuple[Text, ...]
    end: End

    @property
    def first_at(self) -> float:
        """Arrival of the first text, or of the end if there was no text."""
        return self.texts[0].at if self.texts else self.end.at

    @property
    def ttft_s(self) -> float:
        """Seconds to the first text."""
        return self.first_at - self.begun

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(text.text for text in self.texts)

    @property
    def sample(self) -> Sample:
        """The answer's timing."""
        steps = decode_steps(self.end.completion_tokens, by_itself=self.end.by_itself)
        return Sample(self.ttft_s, self.end.at - self.first_at, steps)

    @property
    def clean(self) -> bool:
        """True if the first token yielded text at once."""
        return not self.text.startswith(NO_CHARACTER)

    @property
    def answered(self) -> Answered:
        """The answer's summary."""
        return Answered(
            self.end.prompt_tokens,
            self.end.cached_tokens,
            self.end.completion_tokens,
            len(self.texts),
            ttft_ms=1000 * self.ttft_s,
            total_ms=1000 * (self.end.at - self.begun),
        )


def decode_steps(completion_tokens: int, *, by_itself: bool) -> int:
    """Return how many tokens were generated after the first one, including an end-of-turn token."""
    return max(0, completion_tokens - 1) + by_itself


def rate_in_all(rounds: Sequence[Sequence[Reply]]) -> float:
    """Return the combined tokens per second of all answers.

    Args:
        rounds: Groups of concurrent answers; the time between rounds does not count.
    """
    tokens = sum(reply.end.completion_tokens for replies in rounds for reply in replies)
    seconds = sum(
        max(reply.end.at for reply in replies) - min(reply.begun for reply in replies) for replies in rounds
    )
    return tokens / seconds


def gaps(texts: Sequence[Text], since: float, until: float) -> Iterator[float]:
    """Yield the seconds between consecutive texts, for pairs that overlap the interval `since` to `until`."""
    for before, after in pairwise(texts):
        if after.at > since and before.at < until:
            yield after.at - before.at
