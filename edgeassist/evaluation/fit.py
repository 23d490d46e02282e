"""What is fitted to cases: temperatures, and the threshold of abstaining. Pure functions, in pure Python."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgeassist.errors import InvalidRequestError
from edgeassist.evaluation.metrics import LEAST, Judged
from edgeassist.protocol.decisions import Kind

# A kind with fewer answers takes the temperature of all kinds together.
LEAST_ANSWERS = 30
# Where the best temperature is sought. A model that is always right would want none, one that guesses no end.
COLDEST, HOTTEST = 0.1, 20.0
# A threshold of which fewer answers are left says nothing.
LEAST_ABOVE = 20
_STEPS = 30
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was fitted.

    Attributes:
        temperatures: By kind.
        threshold: The least margin from which on as many answers are right as wanted; None: there is none.
    """

    temperatures: Mapping[Kind, float]
    threshold: float | None

    def applied(self, answers: Iterable[Judged], in_force: Mapping[Kind, float]) -> list[Judged]:
        """Return answers that came by other temperatures, as they come by these."""
        return [
            with_temperature(each, self.temperatures[each.kind] / in_force[each.kind]) for each in answers
        ]


def fit(answers: Sequence[Judged], *, in_force: Mapping[Kind, float], wanted: float) -> Fitted:
    """Fit a temperature for each kind, and the threshold.

    Args:
        answers: To fit to.
        in_force: The temperatures by which they came.
        wanted: The share of answers from the threshold on that is right, 0 to 1.

    Raises:
        InvalidRequestError: There are fewer than `LEAST_ANSWERS`.
    """
    raw = _raw(answers, in_force)
    together = fit_temperature(raw)
    temperatures = {}
    for kind in Kind:
        own = [each for each in raw if each.kind is kind]
        temperatures[kind] = fit_temperature(own) if len(own) >= LEAST_ANSWERS else together
    return _with_threshold(raw, temperatures, wanted)


def fit_together(answers: Sequence[Judged], *, in_force: Mapping[Kind, float], wanted: float) -> Fitted:
    """Fit one temperature for all kinds, and the threshold (`fit`)."""
    raw = _raw(answers, in_force)
    return _with_threshold(raw, dict.fromkeys(Kind, fit_temperature(raw)), wanted)


def _raw(answers: Sequence[Judged], in_force: Mapping[Kind, float]) -> list[Judged]:
    if len(answers) < LEAST_ANSWERS:
        raise InvalidRequestError(
            f"to fit takes at least {LEAST_ANSWERS} questions with known answers, not {len(answers)}"
        )
    return [with_temperature(each, 1 / in_force[each.kind]) for each in answers]


def _with_threshold(raw: Sequence[Judged], temperatures: Mapping[Kind, float], wanted: float) -> Fitted:
    fitted = [with_temperature(each, temperatures[each.kind]) for each in raw]
    return Fitted(temperatures, fit_threshold(fitted, wanted=wanted))


def fit_temperature(answers: Sequence[Judged]) -> float:
    """Return the temperature by which at least one answer's probabilities are likeliest to be these.

    Their negative log-likelihood is convex in 1/temperature, so it has one valley. It is told to three
    digits, and known to less.
    """
    logs = [([math.log(max(LEAST, p)) for p in each.probabilities], each.right) for each in answers]

    def loss(log_temperature: float) -> float:
        cold = math.exp(-log_temperature)
        return sum(_log_sum([cold * log for log in row]) - cold * row[place] for row, place in logs)

    # Golden section: what is inside on one side now, is inside on the other side of the next, narrower range.
    low, high = math.log(COLDEST), math.log(HOTTEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return float(f"{math.exp((low + high) / 2):.3g}")


def fit_threshold(answers: Sequence[Judged], *, wanted: float) -> float | None:
    """Return the least margin, in hundredths, from which on a wanted share of the answers is right.

    None where no margin leaves `LEAST_ABOVE` answers of which so many are.
    """
    for hundredth in range(100):
        above = [each.is_right for each in answers if each.margin >= hundredth / 100]
        if len(above) < LEAST_ABOVE:
            return None
        if sum(above) >= wanted * len(above):
            return hundredth / 100
    return None


def with_temperature(answer: Judged, temperature: float) -> Judged:
    """Return the answer with probabilities that are drawn together (over 1), or apart."""
    logs = [math.log(max(LEAST, each)) / temperature for each in answer.probabilities]
    total = _log_sum(logs)
    return replace(answer, probabilities=tuple(math.exp(each - total) for each in logs))


def _log_sum(logs: Sequence[float]) -> float:
    most = max(logs)
    return most + math.log(sum(math.exp(each - most) for each in logs))
