"""What measured seconds say: rates, ratios pair by pair, and their spread. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

# A word is not always as many tokens as the words before; one token over a multiple of the batch size takes
# a forward pass more.
SLACK = 0.01


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, the lowest and the highest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer: seconds to its first token, and from there over that many more `steps`."""

    ttft_s: float
    decode_s: float
    steps: int

    @property
    def decode_rate(self) -> float:
        """Tokens a second after the first one."""
        return self.steps / self.decode_s


@dataclass(frozen=True, slots=True)
class Pair:
    """The same work through MQTT and in the bare loop, one right after the other.

    Attributes:
        prompt_tokens: Of both.
        cached_tokens: Of them, those that the daemon had no work with.
        others: Of the machine's processor time, what programs that are not measured took meanwhile, 0 to 1.
    """

    prompt_tokens: int
    cached_tokens: int
    mqtt: Sample
    bare: Sample
    others: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of both sides; `ratio` is MQTT to bare, taken pair by pair, so that drift cancels."""

    mqtt: Spread
    bare: Spread
    ratio: Spread


def spread(values: Iterable[float]) -> Spread:
    """Return median and range of at least one value."""
    known = sorted(values)
    return Spread(median(known), known[0], known[-1])


def compare(pairs: Sequence[Pair], figure: Callable[[Sample], float]) -> Comparison:
    """Compare both sides in one figure, over at least one pair."""
    return Comparison(
        mqtt=spread(figure(pair.mqtt) for pair in pairs),
        bare=spread(figure(pair.bare) for pair in pairs),
        ratio=spread(figure(pair.mqtt) / figure(pair.bare) for pair in pairs),
    )


def quietest(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return so many pairs, those that other programs disturbed least, in the order they were measured in.

    What is chosen by is the time that others took, never the figures.
    """
    chosen = sorted(range(len(pairs)), key=lambda index: pairs[index].others)[:count]
    return [pairs[index] for index in sorted(chosen)]


def decode_steps(completion_tokens: int, finish_reason: str) -> int:
    """Return how many tokens were computed after the first one.

    An answer that ends by itself took one more than it counts: the token that says so.
    """
    return max(0, completion_tokens - 1) + (finish_reason == "stop")


def words_for(target: int, measured: Sequence[tuple[int, int]]) -> int:
    """Return how many words make a prompt of about so many tokens, rather less, and at least one word.

    Args:
        target: Tokens, those of the chat template included.
        measured: Two prompts: their words (the fewer first) and their tokens.
    """
    (few, few_tokens), (many, many_tokens) = measured
    per_word = max(0.1, (many_tokens - few_tokens) / (many - few))
    return max(1, int(few + ((1 - SLACK) * target - few_tokens) / per_word))


def share_of_others(busy_s: float, ours_s: float, capacity_s: float) -> float:
    """Return what part of the machine's processor time others took, 0 to 1.

    Args:
        busy_s: Processor seconds that the whole machine worked.
        ours_s: Of these, ours.
        capacity_s: Processor seconds that it had.
    """
    return min(1.0, max(0.0, busy_s - ours_s) / capacity_s) if capacity_s > 0 else 0.0
