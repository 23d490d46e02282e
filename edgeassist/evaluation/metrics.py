"""How right answers are, and how well their probabilities say so. Pure functions.

Calibration error is taken over bins of equal mass (each holds as many answers): a model's probabilities crowd
at one end, and bins of equal width would leave most of a small set in one of them, and some with one answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgeassist.protocol.decisions import Kind

# A bin of fewer answers says little: the accuracy of so many is off by 0.1 in one of three cases.
BIN_ANSWERS = 25
MOST_BINS = 10
# Of an option that was given no probability.
LEAST = 1e-15
# Standard deviations that 95 % of a normal distribution are within.
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Judged:
    """One question's answer, and the right one.

    Attributes:
        kind: The question's.
        probabilities: Of each option, summing to 1.
        right: The place of the right option, from 0.
        domain: The case's.
        language: The case's.
    """

    kind: Kind
    probabilities: tuple[float, ...]
    right: int
    domain: str = ""
    language: str = ""

    @property
    def pick(self) -> int:
        """The place of the most probable option; the first of several."""
        return self.probabilities.index(max(self.probabilities))

    @property
    def is_right(self) -> bool:
        """Whether that is the right one."""
        return self.pick == self.right

    @property
    def confidence(self) -> float:
        """Its probability."""
        return max(self.probabilities)

    @property
    def margin(self) -> float:
        """How far it is ahead of the next."""
        first, second, *_ = sorted(self.probabilities, reverse=True)
        return first - second


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same probability.

    Attributes:
        count: How many.
        confidence: The mean probability of what they picked.
        accuracy: The share of them that is right.
    """

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of some answers.

    Attributes:
        count: How many answers.
        accuracy: The share that is right.
        low: Where the true share is, with 95 % certainty (Wilson's interval): not below this,
        high: and not above this.
        chance: The share that a guess would get right.
        ece: The expected calibration error: how far confidence and accuracy of a bin are apart, on average.
        ece_by_chance: What of it a perfectly calibrated model would show by chance with so few answers.
        nll: The mean negative log-likelihood of the right option, in nats.
        brier: The mean squared distance of the probabilities from 1 for the right option and 0 for others,
            summed over the options: 0 to 2.
        bins: From the least probable to the most.
        distance: How many steps the expected value of a score is off, on average; None without scores.
        abstains: The share whose margin is under the threshold.
        accuracy_above: The share that is right of the others; None where there are none.
    """

    count: int
    accuracy: float
    low: float
    high: float
    chance: float
    ece: float
    ece_by_chance: float
    nll: float
    brier: float
    bins: tuple[Bin, ...]
    distance: float | None
    abstains: float
    accuracy_above: float | None


def measure(answers: Sequence[Judged], *, threshold: float) -> Figures:
    """Return the figures of at least one answer; under `threshold` of margin, one abstains."""
    right = sum(each.is_right for each in answers)
    low, high = interval(right, len(answers))
    bins = reliability(answers)
    above = [each for each in answers if each.margin >= threshold]
    scores = [each for each in answers if each.kind is Kind.SCORE]
    return Figures(
        count=len(answers),
        accuracy=right / len(answers),
        low=low,
        high=high,
        chance=_mean(1 / len(each.probabilities) for each in answers),
        ece=sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / len(answers),
        ece_by_chance=_ece_by_chance(answers),
        nll=_mean(-math.log(max(LEAST, each.probabilities[each.right])) for each in answers),
        brier=_mean(_brier(each) for each in answers),
        bins=bins,
        distance=_mean(_distance(each) for each in scores) if scores else None,
        abstains=1 - len(above) / len(answers),
        accuracy_above=_mean(float(each.is_right) for each in above) if above else None,
    )


def grouped(answers: Iterable[Judged], by: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    """Return the answers of each group by its name, in the order of names; without those that have none."""
    groups: dict[str, list[Judged]] = {}
    for each in answers:
        if name := by(each):
            groups.setdefault(name, []).append(each)
    return dict(sorted(groups.items()))


def reliability(answers: Sequence[Judged]) -> tuple[Bin, ...]:
    """Return bins of equal mass, of at least `BIN_ANSWERS` where there are so many, from low to high."""
    return tuple(
        Bin(len(part), _mean(each.confidence for each in part), _mean(float(each.is_right) for each in part))
        for part in _parts(answers)
    )


def interval(right: int, count: int) -> tuple[float, float]:
    """Return Wilson's interval of a share, with 95 % certainty."""
    share, square = right / count, _Z * _Z
    middle = share + square / (2 * count)
    reach = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    whole = 1 + square / count
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def _parts(answers: Sequence[Judged]) -> list[list[Judged]]:
    ordered = sorted(answers, key=lambda each: each.confidence)
    count = min(MOST_BINS, max(1, len(ordered) // BIN_ANSWERS))
    cuts = [round(number * len(ordered) / count) for number in range(count + 1)]
    return [ordered[begin:end] for begin, end in pairwise(cuts)]


def _ece_by_chance(answers: Sequence[Judged]) -> float:
    """Return the error expected of answers that are right exactly as often as they say.

    The number that is right in a bin is then about normal, and a normal deviation is √(2/π) of its standard
    deviation on average.
    """
    return sum(
        math.sqrt(2 / math.pi * sum(each.confidence * (1 - each.confidence) for each in part))
        for part in _parts(answers)
    ) / len(answers)


def _brier(answer: Judged) -> float:
    return sum(
        (probability - (place == answer.right)) ** 2 for place, probability in enumerate(answer.probabilities)
    )


def _distance(answer: Judged) -> float:
    expected = sum(place * probability for place, probability in enumerate(answer.probabilities))
    return abs(expected - answer.right)


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)
