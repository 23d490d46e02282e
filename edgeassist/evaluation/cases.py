"""Cases: decisions whose right answers are known, one JSON object a line. Sans-I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import JsonValue

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.asking import read_json
from edgeassist.protocol.decisions import NO, YES, DecisionRequest, Kind, Question, option_of

# What of a decision's fields belongs to a case; the others are for each time that it is asked.
_ASKED = ("state", "questions", "instructions", "examples")
_OURS = ("expected", "domain", "language", "split")


class Split(StrEnum):
    """What a case is for: temperatures and threshold are fitted to some, and judged on others."""

    FIT = "fit"
    HELD_OUT = "held-out"


@dataclass(frozen=True, slots=True)
class Case:
    """A decision and its right answers.

    Attributes:
        line: Its line in the file, from 1.
        fields: What is asked, as a request says it.
        questions: The same questions, read.
        expected: The right options, by the question's name; at least one.
        domain: What it is about; empty where the file does not say.
        language: Its language; likewise.
        split: What it is for; None where the file does not say.
    """

    line: int
    fields: Mapping[str, JsonValue]
    questions: Mapping[str, Question]
    expected: Mapping[str, str]
    domain: str = ""
    language: str = ""
    split: Split | None = None


def read_cases(text: str, *, name: str) -> list[Case]:
    """Return the cases of a file, in its order.

    Args:
        text: What it holds: one JSON object a line; empty lines count for nothing.
        name: The file's, for errors.

    Raises:
        InvalidRequestError: A line holds no case, or none does; the message names the first such line.
    """
    cases = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.strip():
            try:
                cases.append(_case(number, line))
            except InvalidRequestError as error:
                raise InvalidRequestError(f"{name}, line {number}: {error.message}") from None
    if not cases:
        raise InvalidRequestError(
            f"{name}: has no cases; each is one line of JSON with state, questions and expected "
            "(docs/calibration.md)"
        )
    return cases


def read_questions(fields: Mapping[str, Any]) -> Mapping[str, Question]:
    """Return the questions of a decision's fields.

    Raises:
        InvalidRequestError: They make no decision.
    """
    return read_json(DecisionRequest, json.dumps(fields)).questions


def splits_of(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Return those to fit to, and those to judge by: as the file says, else its first half and the rest.

    Raises:
        InvalidRequestError: Some cases say what they are for and others don't, or all are for the same.
    """
    said = {case.split for case in cases}
    if said == {None}:
        half = (len(cases) + 1) // 2
        if half == len(cases):
            raise InvalidRequestError("to fit takes at least two cases: one to fit to, one to judge by")
        return list(cases[:half]), list(cases[half:])
    if None in said:
        line = next(case.line for case in cases if case.split is None)
        raise InvalidRequestError(
            f'line {line}: has no split, and others have: give each case "{Split.FIT}" or "{Split.HELD_OUT}"'
        )
    if len(said) == 1:
        raise InvalidRequestError(
            f'all cases have the split "{said.pop()}": to fit takes some with "{Split.FIT}", and some with '
            f'"{Split.HELD_OUT}" to judge by'
        )
    return (
        [case for case in cases if case.split is Split.FIT],
        [case for case in cases if case.split is Split.HELD_OUT],
    )


def digest_of(text: str) -> str:
    """Return what tells one file of cases from another: the first 16 digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _case(number: int, line: str) -> Case:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidRequestError("must be a JSON object")
    unknown = [key for key in document if key not in {*_ASKED, *_OURS}]
    if unknown:
        raise InvalidRequestError(
            f"unknown field {unknown[0]!r}; a case has {', '.join(_ASKED)}, {', '.join(_OURS)}"
        )
    fields = {key: document[key] for key in _ASKED if key in document}
    questions = read_questions(fields)
    return Case(
        line=number,
        fields=fields,
        questions=questions,
        expected=_expected(document.get("expected"), questions),
        domain=_word(document, "domain"),
        language=_word(document, "language"),
        split=_split(document),
    )


def _expected(value: Any, questions: Mapping[str, Question]) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise InvalidRequestError('expected: must be an object, such as {"room": "kitchen"}')
    expected = {}
    for name, answer in value.items():
        if name not in questions:
            raise InvalidRequestError(f"expected: there is no question {name!r}")
        option = _option(answer, questions[name])
        if option not in questions[name].options:
            some = ", ".join(questions[name].options)
            raise InvalidRequestError(f"expected.{name}: {option!r} is none of its options: {some}")
        expected[name] = option
    return expected


def _option(answer: Any, question: Question) -> str:
    if isinstance(answer, bool):
        return (YES if answer else NO) if question.type is Kind.YES_NO else str(answer).lower()
    return option_of(answer) if isinstance(answer, str | int | float) else json.dumps(answer)


def _word(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key) or ""
    if not isinstance(value, str):
        raise InvalidRequestError(f"{key}: must be text")
    return value


def _split(document: Mapping[str, Any]) -> Split | None:
    value = document.get("split")
    try:
        return None if value is None else Split(value)
    except ValueError:
        raise InvalidRequestError(f'split: must be "{Split.FIT}" or "{Split.HELD_OUT}"') from None
