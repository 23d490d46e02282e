"""The options of `edgeassist decide` that ask, as questions of a request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.asking import explain
from edgeassist.protocol.decisions import DecisionRequest, Question

# `room=kitchen,bath: Which room is meant?`
_NAMED = re.compile(r"([\w-]{1,64})=")
_ASKED = re.compile(r":\s+|：\s*")
_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::({_NUMBER}))?")

# What is said of one option where there must be several.
_ONE = {
    "choice": "is one option: put commas between them, such as kitchen,bath",
    "score": "is no scale: write 0..10, or levels with commas between them, such as idle,light,heavy",
}
_CHOICE, _SCORE = "Which of these is it?", "How much is it?"


def questions_of(
    choices: Sequence[str], yes_no: Sequence[str], scores: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the questions by name.

    Args:
        choices: Each `[NAME=]OPTION,OPTION[: QUESTION]`.
        yes_no: Each `[NAME=]QUESTION`.
        scores: Each `[NAME=]LOW..HIGH[:STEP][: QUESTION]`, or with levels in place of the range.

    Raises:
        InvalidRequestError: There is none, a name comes twice, or a device would refuse it anyway.
    """
    questions: dict[str, dict[str, Any]] = {}
    given = [
        *(("--choice", "choice", text) for text in choices),
        *(("--yes-no", "yes_no", text) for text in yes_no),
        *(("--score", "score", text) for text in scores),
    ]
    if not given:
        raise InvalidRequestError("there is no question: give --choice, --yes-no or --score")
    for option, kind, text in given:
        named = _NAMED.match(text)
        rest = text[named.end() :] if named else text
        name = named[1] if named else next(each for each in _names(kind) if each not in questions)
        if name in questions:
            raise InvalidRequestError(f"{option}: two questions are called {name!r}")
        questions[name] = {"type": kind, **_asked(kind, rest)}
        if len(questions[name].get("criteria", ())) == 1:
            raise InvalidRequestError(f"{option}: {rest!r} {_ONE[kind]}")
        _check(Question, questions[name], option)
    _check(DecisionRequest, {"state": "?", "questions": questions}, "")
    return questions


def _names(kind: str) -> Iterator[str]:
    """Yield what a question without a name may be called."""
    yield kind
    for number in range(2, 1000):
        yield f"{kind}_{number}"


def _asked(kind: str, text: str) -> dict[str, Any]:
    if kind == "yes_no":
        return {"instructions": text.strip()}
    options, *asked = _ASKED.split(text, maxsplit=1)
    instructions = asked[0].strip() if asked else _CHOICE if kind == "choice" else _SCORE
    if kind == "score" and (numbers := _RANGE.fullmatch(options.strip())):
        low, high, step = numbers.groups()
        scale = {"minimum": float(low), "maximum": float(high), "step": float(step or 1)}
        return {"instructions": instructions, **scale}
    return {"instructions": instructions, "criteria": [each.strip() for each in options.split(",")]}


def _check(kind: type[Question] | type[DecisionRequest], values: dict[str, Any], option: str) -> None:
    try:
        kind.model_validate(values)
    except ValidationError as error:
        # What is called so in a request is what the option itself lists.
        reason = explain(error).removeprefix("criteria: ")
        raise InvalidRequestError(f"{option}: {reason}" if option else reason) from None
