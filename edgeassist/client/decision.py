"""Decisions as a program sees them: questions to ask, and what was answered. Sans-I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from edgeassist.client.formats import AnswerFormatError
from edgeassist.protocol.decisions import DecisionAnswer
from edgeassist.protocol.events import Done, Timings, Usage


@dataclass(frozen=True, slots=True)
class DecidedQuestion:
    """The answer to one question.

    Attributes:
        type: `choice`, `score` or `yes_no`.
        choice: The most probable option; of a score its level or number as text, else `yes` or `no`.
        probabilities: Of every option, in the question's order; they sum to 1. Empty where the broker takes
            no message of that size.
        margin: How far the most probable option is ahead of the next, 0 to 1.
        abstain: Whether that is less than the threshold: then ask somebody else.
        score: Of a score, the expected value: a number of its range, or of its levels, counted from 0.
        noul: Of a question of yes or no, the probability of yes.
    """

    type: str
    choice: str
    probabilities: dict[str, float]
    margin: float
    abstain: bool
    score: float | None = None
    noul: float | None = None

    @classmethod
    def of(cls, answer: DecisionAnswer) -> Self:
        """Return the answer that an event carries."""
        return cls(
            type=answer.type,
            choice=answer.choice,
            probabilities=answer.probabilities or {},
            margin=answer.margin,
            abstain=answer.abstain,
            score=answer.score,
            noul=answer.noul,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """The answers to all questions about one state.

    Attributes:
        answers: By the names of the questions.
        usage: Tokens: `prompt_tokens` that were read, of which `cached_tokens` cost no work.
        timings: Milliseconds, as the device measured them.
        held_back: Why the device had fewer threads than it could have; None where it had all.
        metadata: The request's own.
    """

    id: str
    answers: dict[str, DecidedQuestion]
    usage: Usage
    timings: Timings
    model: str
    device: str
    held_back: str | None = None
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, done: Done) -> Self:
        """Return the decision that a terminal event carries.

        Raises:
            AnswerFormatError: It carries none.
        """
        if done.answers is None:
            raise AnswerFormatError("the answer has no decision: is the device older than this client?")
        return cls(
            id=done.id,
            answers={name: DecidedQuestion.of(answer) for name, answer in done.answers.items()},
            usage=done.usage,
            timings=done.timings,
            model=done.model,
            device=done.device,
            held_back=done.held_back,
            metadata=done.metadata,
        )

    def __getitem__(self, question: str) -> DecidedQuestion:
        """Return the answer to the question of that name."""
        return self.answers[question]


def choice(instructions: str, options: Sequence[str] | Mapping[str, str | None]) -> dict[str, Any]:
    """Return a question for one of some options.

    Args:
        instructions: What is asked.
        options: 2 to 32; by name what each means (None: what its name says).
    """
    return {"type": "choice", "instructions": instructions, "criteria": _plain(options)}


def yes_no(instructions: str, *, yes: str | None = None, no: str | None = None) -> dict[str, Any]:
    """Return a question of yes or no.

    Args:
        instructions: What is asked.
        yes: What yes means; None: what is asked.
        no: What no means.
    """
    question: dict[str, Any] = {"type": "yes_no", "instructions": instructions}
    meant = {name: text for name, text in (("yes", yes), ("no", no)) if text is not None}
    return {**question, "criteria": meant} if meant else question


def score(
    instructions: str,
    levels: Sequence[str] | Mapping[str, str | None] | None = None,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
) -> dict[str, Any]:
    """Return a question for a place on a scale.

    Args:
        instructions: What is asked.
        levels: From low to high, as options of a choice; None: the scale is one of numbers.
        minimum: The lowest number.
        maximum: The highest.
        step: From one number to the next; None: 1. At most 32 numbers.
    """
    scale = {"criteria": None if levels is None else _plain(levels), "minimum": minimum, "maximum": maximum,
             "step": step}  # fmt: skip
    given = {name: value for name, value in scale.items() if value is not None}
    return {"type": "score", "instructions": instructions, **given}


def _plain(options: Sequence[str] | Mapping[str, str | None]) -> list[str] | dict[str, str | None]:
    if isinstance(options, str):  # a sequence, too: of its letters
        raise TypeError("the options must be a list of texts, not one")
    return dict(options) if isinstance(options, Mapping) else list(options)
