"""Statistics of measured values: medians, ranges, and ratios per repetition. Pure functions."""

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
    """A quantity that is measured.

    Attributes:
        name: Its name.
        unit: Its unit.
        better: Which direction is better.
        decimals: How many of them are shown.
        most: The most that it can be; None where there is no such value.
    """

    name: str
    unit: str
    better: Better
    decimals: int = 1
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Timing of one answer: seconds to the first token, and seconds for the `steps` tokens after it."""

    ttft_s: float
    decode_s: float
    steps: int

    @property
    def decode_rate(self) -> float:
        """Tokens per second after the first one."""
        return self.steps / self.decode_s


@dataclass(frozen=True, slots=True)
class Answered:
    """Summary of one answer; `cached_tokens` of the prompt came from the prefix cache (None: unknown)."""

    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    chunks: int
    ttft_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One side's result in one repetition: values by figure name, and the answers they come from."""

    values: Mapping[str, float]
    answers: tuple[Answered, ...] = ()


@dataclass(frozen=True, slots=True)
class Repetition:
    """The same work on every side, one after another.

    Attributes:
        outcomes: By side.
        others: Share of the machine's CPU time used by unrelated programs meanwhile, 0 to 1.
    """

    outcomes: Mapping[str, Outcome]
    others: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure across all sides that have it.

    Attributes:
        figure: The figure.
        sides: Its spread, by side.
        ratios: Device divided by each other side, per repetition, so that drift cancels.
    """

    figure: Figure
    sides: Mapping[str, Spread]
    ratios: Mapping[str, Spread] = field(default_factory=dict)


def spread(values: Iterable[float]) -> Spread:
    """Return median and range of at least one value."""
    known = sorted(values)
    return Spread(median(known), known[0], known[-1])


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of the values don't exceed; needs a value."""
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
    """Return the `count` repetitions that other programs disturbed least, in the order they were measured.

    Selection looks only at the others' CPU time, never at the figures.
    """
    chosen = sorted(range(len(repetitions)), key=lambda index: repetitions[index].others)[:count]
    return [repetitions[index] for index in sorted(chosen)]


def share_of_others(busy_s: float, ours_s: float, capacity_s: float) -> float:
    """Return the share of the machine's CPU time that other programs took, 0 to 1.

    Args:
        busy_s: CPU seconds used by the whole machine.
        ours_s: CPU seconds used by the bench and its processes.
        capacity_s: CPU seconds available.
    """
    return min(1.0, max(0.0, busy_s - ours_s) / capacity_s) if capacity_s > 0 else 0.0
