"""What measured values say: medians, ratios repetition by repetition, and their spread. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

# The side that the others are compared with.
DEVICE = "device"


class Better(StrEnum):
    """Which way a figure should go."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a scenario yields: what it is called, its unit, which way is better."""

    name: str
    unit: str
    better: Better


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
class Answered:
    """What is kept of one answer: tokens in, those that cost no work (None: unknown), out; chunks; ms."""

    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    chunks: int
    ttft_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one side did in one repetition: values by the names of their figures, and the answers behind."""

    values: Mapping[str, float]
    answers: tuple[Answered, ...] = ()


@dataclass(frozen=True, slots=True)
class Repetition:
    """The same work on every side, one right after the other.

    Attributes:
        outcomes: By side.
        others: Of the machine's processor time, what programs that are not measured took meanwhile, 0 to 1.
    """

    outcomes: Mapping[str, Outcome]
    others: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of all sides that have it.

    Attributes:
        figure: Which.
        sides: By side.
        ratios: The device to each other side, taken repetition by repetition, so that drift cancels.
    """

    figure: Figure
    sides: Mapping[str, Spread]
    ratios: Mapping[str, Spread] = field(default_factory=dict)


def spread(values: Iterable[float]) -> Spread:
    """Return median and range of at least one value."""
    known = sorted(values)
    return Spread(median(known), known[0], known[-1])


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest of at least one value that so large a share (0 to 1) does not exceed."""
    known = sorted(values)
    return known[max(0, math.ceil(share * len(known)) - 1)]


def compare(figure: Figure, repetitions: Sequence[Repetition]) -> Comparison:
    """Compare the sides in one figure, over at least one repetition."""
    values: dict[str, list[float]] = {}
    for repetition in repetitions:
        for side, outcome in repetition.outcomes.items():
            if figure.name in outcome.values:
                values.setdefault(side, []).append(outcome.values[figure.name])
    ours = values.get(DEVICE, [])
    return Comparison(
        figure=figure,
        sides={side: spread(theirs) for side, theirs in values.items()},
        ratios={
            side: spread(our / their for our, their in zip(ours, theirs, strict=True))
            for side, theirs in values.items()
            if side != DEVICE and ours
        },
    )


def quietest(repetitions: Sequence[Repetition], count: int) -> list[Repetition]:
    """Return so many, those that other programs disturbed least, in the order they were measured in.

    What is chosen by is the time that others took, never the figures.
    """
    chosen = sorted(range(len(repetitions)), key=lambda index: repetitions[index].others)[:count]
    return [repetitions[index] for index in sorted(chosen)]


def share_of_others(busy_s: float, ours_s: float, capacity_s: float) -> float:
    """Return what part of the machine's processor time others took, 0 to 1.

    Args:
        busy_s: Processor seconds that the whole machine worked.
        ours_s: Of these, ours.
        capacity_s: Processor seconds that it had.
    """
    return min(1.0, max(0.0, busy_s - ours_s) / capacity_s) if capacity_s > 0 else 0.0
