"""A decision for the engine, and its scores as answers. Sans-I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgeassist.engine import messages
from edgeassist.engine.messages import Decide, QuestionKind, Right, Shot
from edgeassist.protocol.calibration import UNCALIBRATED, Calibration
from edgeassist.protocol.decisions import (
    DecisionAnswer,
    DecisionRequest,
    Kind,
    Question,
    option_of,
    state_text,
)

# Probabilities are multiples of a millionth, so that their sum is 1 although they are rounded.
_UNITS = 1_000_000
_DIGITS = 6


def decide_of(job: str, asked: DecisionRequest, calibration: Calibration = UNCALIBRATED) -> Decide:
    """Return the command that has a decision made, under the engine's id for it."""
    places = {name: place for place, name in enumerate(asked.questions)}
    return Decide(
        id=job,
        state=state_text(asked.state),
        questions=tuple(map(_question, asked.questions.values())),
        instructions=asked.instructions or calibration.instructions,
        shots=tuple(
            Shot(
                state_text(example.state),
                tuple(Right(places[name], option_of(answer)) for name, answer in example.answers.items()),
            )
            for example in asked.examples
        ),
        prior=calibration.prior,
    )


def answers_of(
    asked: DecisionRequest, scores: Sequence[Sequence[float]], calibration: Calibration
) -> dict[str, DecisionAnswer]:
    """Return the answers by the names of their questions.

    Args:
        asked: The questions.
        scores: For each of them, the log-odds of each option.
        calibration: Of the model that scored them; its threshold holds where the request has none.
    """
    threshold = calibration.threshold if asked.threshold is None else asked.threshold
    return {
        name: answer_to(question, own, calibration.temperature(question.type), threshold)
        for (name, question), own in zip(asked.questions.items(), scores, strict=True)
    }


def answer_to(
    question: Question, scores: Sequence[float], temperature: float, threshold: float
) -> DecisionAnswer:
    """Return the answer to one question."""
    exact = probabilities(scores, temperature)
    shares = _rounded(exact)
    first, second, *_ = sorted(exact, reverse=True)
    margin = round(first - second, _DIGITS)
    options = question.options
    likely = [share / _UNITS for share in shares]
    return DecisionAnswer(
        type=question.type.value,
        choice=options[shares.index(max(shares))],
        probabilities=dict(zip(options, likely, strict=True)),
        margin=margin,
        abstain=margin < threshold,
        score=_expected(question.values, exact) if question.type is Kind.SCORE else None,
        noul=likely[0] if question.type is Kind.YES_NO else None,
    )


def probabilities(scores: Sequence[float], temperature: float) -> list[float]:
    """Return the softmax of log-odds divided by a temperature (above 0)."""
    highest = max(scores)
    weights = [math.exp((score - highest) / temperature) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def _rounded(shares: Sequence[float]) -> list[int]:
    """Return shares of 1 in millionths that sum to a million.

    Each is rounded down, and what lacks goes to those that lost most, of equals to the first: so the order
    of the shares stays.
    """
    exact = [share * _UNITS for share in shares]
    units = [math.floor(each) for each in exact]
    lost = sorted(range(len(exact)), key=lambda at: units[at] - exact[at])
    for at in lost[: _UNITS - sum(units)]:
        units[at] += 1
    return units


def _expected(values: Sequence[float], shares: Sequence[float]) -> float:
    expected = math.fsum(value * share for value, share in zip(values, shares, strict=True))
    # Ten digits are more than a score has, and hide what binary fractions add.
    return min(max(float(f"{expected:.10g}"), values[0]), values[-1])


def _question(question: Question) -> messages.Question:
    notes = question.notes
    return messages.Question(
        QuestionKind(question.type.value),
        question.instructions,
        question.options,
        notes if any(notes) else (),
    )
