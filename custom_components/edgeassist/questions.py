"""Home Assistant's questions as the device takes them, and answers as Home Assistant does.

Imports nothing of Home Assistant.

Home Assistant's options may be of any length; the device tells them apart by names of up to 64 characters.
What does not fit as a name becomes a number with a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOUL, CHOICE, SCORE = "noul", "choice", "score"
_MAX_NAME = 64


class AnswerError(Exception):
    """The device's answer lacks what Home Assistant needs."""


@dataclass(frozen=True, slots=True)
class Noul:
    """The probability of yes, 0 to 1."""

    noul: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The most probable option, and the probability of each."""

    choice: str
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class Score:
    """The expected level, counted from 0, and the probability of each level from low to high."""

    score: float
    probabilities: list[float]


Answer = Noul | Choice | Score


def asked(questions: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the `questions` of a request.

    Args:
        questions: Home Assistant's, by name: `type` (`noul`, `choice`, `score`), `instructions`, and
            `criteria`: of a choice what each option means, of a score its levels from low to high.

    Returns:
        Questions under their numbers, since a name of Home Assistant's may be any text.
    """
    return {str(number): _put(question) for number, question in enumerate(questions.values(), 1)}


def answered(
    questions: Mapping[str, Mapping[str, Any]], answers: Mapping[str, Mapping[str, Any]]
) -> dict[str, Answer]:
    """Return the answers to these questions, by Home Assistant's names.

    Args:
        questions: As given to `asked`.
        answers: `answers` of the `done` that ended the request.

    Raises:
        AnswerError: An answer lacks, or its probabilities do.
    """
    found = {}
    for number, (name, question) in enumerate(questions.items(), 1):
        try:
            found[name] = _read(question, answers[str(number)])
        except (KeyError, TypeError, IndexError) as error:
            raise AnswerError(f"{name}: {error!r} is not in the answer") from error
    return found


def _put(question: Mapping[str, Any]) -> dict[str, Any]:
    put: dict[str, Any] = {"type": question["type"], "instructions": question["instructions"]}
    if question["type"] == CHOICE:
        options = list(question["criteria"])
        labels = _labels(options)
        put["criteria"] = {
            label: _meaning(option, question["criteria"][option], label)
            for label, option in zip(labels, options, strict=True)
        }
    elif question["type"] == SCORE:
        levels = question["criteria"]
        put["criteria"] = {
            label: None if label == level else level
            for label, level in zip(_labels(levels), levels, strict=True)
        }
    return put


def _read(question: Mapping[str, Any], answer: Mapping[str, Any]) -> Answer:
    if question["type"] == NOUL:
        return Noul(float(answer["noul"]))
    options = list(question["criteria"])
    labels = _labels(options)
    probabilities = [float(answer["probabilities"][label]) for label in labels]
    if question["type"] == SCORE:
        return Score(float(answer["score"]), probabilities)
    picked = options[labels.index(answer["choice"])] if answer["choice"] in labels else options[0]
    return Choice(picked, dict(zip(options, probabilities, strict=True)))


def _labels(options: Sequence[str]) -> list[str]:
    """Return the names that options are asked under: their own, or numbers where one would be refused."""
    alike = {" ".join(option.casefold().split()) for option in options}
    if len(alike) == len(options) and all(option.strip() and len(option) <= _MAX_NAME for option in options):
        return list(options)
    return [str(number) for number in range(len(options))]


def _meaning(option: str, meaning: str, label: str) -> str | None:
    if label != option:
        return option if meaning == option else f"{option}: {meaning}"
    return None if meaning == option else meaning
