"""The same case for a model that writes: JSON by a schema, with an option for each question. Sans-I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from edgeassist.protocol.decisions import Question, state_text

_HOW = "Judge the state, and answer each question with one of its options, as JSON."


def json_request(
    fields: Mapping[str, Any], questions: Mapping[str, Question], *, percents: bool = False
) -> dict[str, Any]:
    """Return a prompt's fields that ask the same as a decision's.

    Args:
        fields: The decision's.
        questions: Its questions, read.
        percents: Ask for the probability of every option too, in whole percents.

    Returns:
        `system`, `prompt` and `json_schema`.
    """
    return {
        "system": "\n".join(filter(None, (fields.get("instructions"), _HOW))),
        "prompt": "\n".join(_prompt(fields, questions)),
        "json_schema": _schema(questions, percents=percents),
    }


def picks_of(text: str, questions: Mapping[str, Question]) -> dict[str, str | None]:
    """Return what an answer names for each question; None where it names no option."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    said = document if isinstance(document, dict) else {}
    return {
        name: said.get(name) if said.get(name) in question.options else None
        for name, question in questions.items()
    }


def _prompt(fields: Mapping[str, Any], questions: Mapping[str, Question]) -> Iterator[str]:
    for example in fields.get("examples") or ():
        yield f"State:\n{state_text(example['state'])}\n\nAnswers: {json.dumps(example['answers'])}\n"
    yield f"State:\n{state_text(fields['state'])}\n\nQuestions:"
    for name, question in questions.items():
        options = (
            f"{option} ({note})" if note else option
            for option, note in zip(question.options, question.notes, strict=True)
        )
        yield f"{name}: {question.instructions} Options: {', '.join(options)}"


def _schema(questions: Mapping[str, Question], *, percents: bool) -> dict[str, Any]:
    return _object(
        {
            name: _object({"pick": _pick(question), "percents": _percents(question)})
            if percents
            else _pick(question)
            for name, question in questions.items()
        }
    )


def _pick(question: Question) -> dict[str, Any]:
    return {"enum": list(question.options)}


def _percents(question: Question) -> dict[str, Any]:
    percent = {"type": "integer", "minimum": 0, "maximum": 100}
    return _object(dict.fromkeys(question.options, percent))


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
