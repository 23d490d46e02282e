"""Whether a difference between two options is one, or noise. Sans-I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

# A smaller gain is not worth a setting.
LEAST_GAIN = 0.03
# Fewer rounds that can be compared prove nothing.
LEAST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an option compares with the default.

    Attributes:
        gain: The median, over the rounds, of how much better it is: 0.1 is 10 %, below 0 is worse.
        noise: Half of the range of that.
        rounds: That could be compared.
    """

    gain: float
    noise: float
    rounds: int
    _all_better: bool

    @property
    def counts(self) -> bool:
        """Whether it is better, beyond noise: in every round, and by more than the rounds differ."""
        enough = self.rounds >= LEAST_ROUNDS
        return enough and self._all_better and self.gain > max(LEAST_GAIN, self.noise)


def compare(
    default: Sequence[float | None], other: Sequence[float | None], *, higher_is_better: bool = True
) -> Verdict:
    """Compare an option with the default, round by round, so that what drifts cancels.

    Args:
        default: The default's values, one for each round, above 0; None where one can't be used.
        other: The option's, of the same rounds.
        higher_is_better: False: lower is.
    """
    pairs = [
        (one, two) for one, two in zip(default, other, strict=False) if one is not None and two is not None
    ]
    ratios = sorted(two / one if higher_is_better else one / two for one, two in pairs)
    if not ratios:
        return Verdict(0.0, 0.0, 0, _all_better=False)
    return Verdict(
        gain=median(ratios) - 1,
        noise=(ratios[-1] - ratios[0]) / 2,
        rounds=len(ratios),
        _all_better=ratios[0] > 1,
    )
