"""Tasks: prompts whose answers a program can check, one JSON object a line. Sans-I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgeassist.errors import InvalidRequestError
from edgeassist.evaluation.quality.checks import Check, Code
from edgeassist.evaluation.quality.reading import Answer

# Room for a short answer with its explanation, or for a wish that is too long; and for a function.
MAX_TOKENS = 128
MAX_CODE_TOKENS = 256


class Kind(StrEnum):
    """What a task is about."""

    EVERYDAY = "everyday"
    WISHES = "wishes"
    CODE = "code"
    RIDDLES = "riddles"


class Language(StrEnum):
    """The language that it is asked in."""

    EN = "en"
    ZH = "zh"


class Task(BaseModel):
    """A task, and what is right.

    Attributes:
        id: Its name in reports, unique in its file.
        kind: What it is about.
        language: The language that it is asked in.
        prompt: What is asked.
        checks: What the answer must be; all of them.
        right: An answer that is right, which the file is checked by; None: none is given.
        wrong: Answers that are wrong, likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1)]
    kind: Kind
    language: Language
    prompt: Annotated[str, Field(min_length=1, max_length=4000)]
    checks: Annotated[list[Check], Field(min_length=1)]
    right: str | None = None
    wrong: list[str] = []

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if sum(isinstance(check, Code) for check in self.checks) > 1:
            raise ValueError("checks: has more than one of code")
        # Whether code is right shows only when it runs.
        if self.right is not None and (fault := self.fault(Answer.of(self.right))) is not None:
            raise ValueError(f"right: would be judged wrong: {fault}")
        for answer in self.wrong:
            if self.code is None and self.fault(Answer.of(answer)) is None:
                raise ValueError(f"wrong: {answer!r} would be judged right")
        return self

    @property
    def code(self) -> Code | None:
        """The check that runs code; None where there is none."""
        return next((check for check in self.checks if isinstance(check, Code)), None)

    @property
    def max_tokens(self) -> int:
        """The most tokens of its answer."""
        return MAX_TOKENS if self.code is None else MAX_CODE_TOKENS

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong with an answer, whatever code may do; None if nothing is."""
        answer = answer.without(self.prompt)
        for check in self.checks:
            if not isinstance(check, Code) and (fault := check.fault(answer)) is not None:
                return fault
        return None


def read_tasks(text: str, *, name: str) -> list[Task]:
    """Return the tasks of a file, in its order.

    Args:
        text: What it holds: one JSON object a line; empty lines count for nothing.
        name: The file's, for errors.

    Raises:
        InvalidRequestError: A line holds no task, or none does; the message names the first such line.
    """
    tasks: list[Task] = []
    names: set[str] = set()
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        try:
            task = Task.model_validate(json.loads(line))
        except ValidationError as error:
            raise InvalidRequestError(f"{name}, line {number}: {_first(error)}") from None
        except (ValueError, RecursionError) as error:
            raise InvalidRequestError(f"{name}, line {number}: is no JSON: {error}") from None
        if task.id in names:
            raise InvalidRequestError(f"{name}, line {number}: id {task.id!r} stands twice")
        names.add(task.id)
        tasks.append(task)
    if not tasks:
        raise InvalidRequestError(
            f"{name}: has no tasks; each is one line of JSON with id, kind, language, prompt and checks "
            "(docs/quality.md)"
        )
    return tasks


def limited(tasks: Sequence[Task], limit: int | None) -> list[Task]:
    """Return so many of the tasks, in their order, with each kind and language in turn; None: all."""
    if limit is None or limit >= len(tasks):
        return list(tasks)
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.kind, task.language), []).append(task)
    ranks = {task.id: rank for group in groups.values() for rank, task in enumerate(group)}
    chosen = {task.id for task in sorted(tasks, key=lambda task: ranks[task.id])[:limit]}
    return [task for task in tasks if task.id in chosen]


def digest_of(tasks: Sequence[Task]) -> str:
    """Return what tells these tasks from others: the first 16 digits of a SHA-256."""
    lines = "\n".join(task.model_dump_json() for task in tasks)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    said = str(found["msg"]).removeprefix("Value error, ")
    return f"{place}: {said}" if place else said
