"""Decisions: questions about a state, answered with probabilities. Their schema and limits.

Names are those of System One (TypeSafe's API, llama.cpp's `/v1/systemone`) where they fit; docs/decisions.md
says where they don't.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.asking import Asked, ReplyFormat, read_json, text_of
from edgeassist.protocol.constraints import compact_json, depth

MAX_QUESTIONS = 32
MAX_OPTIONS = 32
MAX_OPTION_CHARACTERS = 64
MAX_NAME_CHARACTERS = 64
MAX_TEXT_CHARACTERS = 4096
MAX_EXAMPLES = 16
MAX_STATE_DEPTH = 64
# A larger number of steps is not written out: it may have hundreds of digits.
_COUNTABLE = 1_000_000

YES, NO = "yes", "no"


class Kind(StrEnum):
    """What a question asks for: one of some options, a place on a scale, or yes or no."""

    CHOICE = "choice"
    SCORE = "score"
    YES_NO = "yes_no"


# System One's word for a question of yes or no.
_ALIASES = {"noul": "yes_no"}


def _kind(value: Any) -> Any:
    return _ALIASES.get(value, value) if isinstance(value, str) else value


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    if len(value) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"is limited to {MAX_TEXT_CHARACTERS} characters")
    return value


def _name(value: str) -> str:
    if not value.strip() or len(value) > MAX_NAME_CHARACTERS or not value.isprintable():
        raise ValueError(f"a question's name has 1 to {MAX_NAME_CHARACTERS} printable characters")
    return value


def _json(value: JsonValue) -> JsonValue:
    if depth(value, MAX_STATE_DEPTH) > MAX_STATE_DEPTH:
        raise ValueError(f"is nested more than {MAX_STATE_DEPTH} deep")
    try:
        compact_json(value)
    except ValueError:
        raise ValueError("holds a number that JSON has not, such as NaN or 1e999") from None
    return value


Text = Annotated[
    str,
    AfterValidator(_text),
    Field(json_schema_extra={"maxLength": MAX_TEXT_CHARACTERS, "pattern": r"\S"}),
]
State = Annotated[JsonValue, AfterValidator(_json)]
QuestionName = Annotated[str, AfterValidator(_name)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Question(BaseModel):
    """One question about the state.

    Attributes:
        type: `choice`, `score` or `yes_no`.
        instructions: What is asked.
        criteria: The options of a choice, or the levels of a score from low to high: a list, or by name what
            each means (None: what its name says). Of `yes_no`, what `yes` and `no` mean; None: what is asked.
        minimum: The lowest number of a score without levels.
        maximum: Its highest.
        step: From one to the next.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Annotated[
        Kind,
        Field(strict=False),
        BeforeValidator(_kind, json_schema_input_type=Kind | Literal["noul"]),
    ]
    instructions: Text
    criteria: dict[str, Text | None] | None = None
    minimum: Finite | None = None
    maximum: Finite | None = None
    step: Annotated[Finite, Field(gt=0)] | None = None

    @field_validator(
        "criteria", mode="before", json_schema_input_type=list[str] | dict[str, Text | None] | None
    )
    @classmethod
    def _of_a_list(cls, value: Any) -> Any:
        if value is None or isinstance(value, Mapping):
            return value
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise ValueError("must be a list of texts, or an object of what each means")
        if len(set(value)) < len(value):
            raise ValueError("has an option twice")
        return dict.fromkeys(value)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Question:
        numbers = (self.minimum, self.maximum, self.step)
        if self.type is not Kind.SCORE and any(each is not None for each in numbers):
            raise ValueError("minimum, maximum and step are a score's: leave them out")
        match self.type:
            case Kind.YES_NO:
                self._check_yes_no()
            case Kind.SCORE if self.criteria is None:
                self._check_range()
            case _:
                self._check_options(numbers)
        return self

    def _check_yes_no(self) -> None:
        if self.criteria is not None and set(self.criteria) - {YES, NO, "true", "false"}:
            raise ValueError('criteria of yes_no: say what "yes" and "no" mean, or leave it out')

    def _check_range(self) -> None:
        if self.minimum is None or self.maximum is None:
            raise ValueError("a score needs criteria, its levels from low to high, or minimum and maximum")
        if self.minimum >= self.maximum:
            raise ValueError("minimum must be less than maximum")
        steps = (_exact(self.maximum) - _exact(self.minimum)) / _exact(self.step or 1)
        if steps != int(steps):
            raise ValueError("maximum must be a whole number of steps above minimum")
        if steps + 1 > MAX_OPTIONS:
            count = int(steps) + 1 if steps < _COUNTABLE else f"over {_COUNTABLE}"
            raise ValueError(
                f"has {count} steps, and at most {MAX_OPTIONS} can be told apart: take a larger step"
            )
        if any(len(each) > MAX_OPTION_CHARACTERS for each in self.options):
            raise ValueError(f"a number of its range is limited to {MAX_OPTION_CHARACTERS} characters")

    def _check_options(self, numbers: Sequence[float | None]) -> None:
        options = self.criteria or {}
        if any(each is not None for each in numbers):
            raise ValueError("give either criteria or minimum, maximum and step")
        if not 2 <= len(options) <= MAX_OPTIONS:  # noqa: PLR2004 - one option is no question
            raise ValueError(f"criteria: takes 2 to {MAX_OPTIONS} options, not {len(options)}")
        if any(not each.strip() for each in options):
            raise ValueError("criteria: an option is empty")
        if any(len(each) > MAX_OPTION_CHARACTERS for each in options):
            raise ValueError(f"criteria: an option is limited to {MAX_OPTION_CHARACTERS} characters")
        alike = [" ".join(each.casefold().split()) for each in options]
        if len(set(alike)) < len(alike):
            raise ValueError("criteria: two options are equal but for case and white space")

    @property
    def options(self) -> tuple[str, ...]:
        """The options, the levels from low to high, or `yes` and `no`."""
        if self.type is Kind.YES_NO:
            return YES, NO
        if self.criteria is not None:
            return tuple(self.criteria)
        low, step = _exact(self.minimum or 0), _exact(self.step or 1)
        count = int((_exact(self.maximum or 0) - low) / step) + 1
        return tuple(format((low + at * step).normalize(), "f") for at in range(count))

    @property
    def notes(self) -> tuple[str, ...]:
        """What each option means, empty where its name says it."""
        criteria = dict(self.criteria or {})
        for ours, theirs in ((YES, "true"), (NO, "false")):
            if self.type is Kind.YES_NO and theirs in criteria:
                criteria[ours] = criteria[theirs]
        return tuple(criteria.get(each) or "" for each in self.options)

    @property
    def values(self) -> tuple[float, ...]:
        """What each option of a score counts: its number, or its place from 0."""
        if self.criteria is not None:
            return tuple(map(float, range(len(self.criteria))))
        return tuple(map(float, self.options))


class Example(BaseModel):
    """A state, and what the right answers to some of the questions are.

    Attributes:
        state: As in the request.
        answers: By the question's name, one of its options.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    state: State
    answers: dict[str, str | int | float]


class DecisionRequest(Asked):
    """Questions about a state.

    Attributes:
        state: Text, or any JSON value, that the questions are about.
        questions: By name; the answers come by the same names.
        instructions: What to know for all of them.
        examples: Of right answers.
        threshold: Where the two most probable options of an answer are less apart, it abstains; None takes
            the daemon's default.
    """

    instead: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("prompt", "messages"), "a prompt to <root>/prompt, or what to judge as state"),
        "criteria": "criteria in a question: questions is an object of them, by name",
        "options": "criteria, in a question",
        "question": "questions, an object of them by name",
        **dict.fromkeys((".options", ".levels", ".choices"), "criteria"),
        **dict.fromkeys((".question", ".text", ".description"), "instructions"),
        ".min": "minimum",
        ".max": "maximum",
        ".range": "minimum and maximum",
    }

    state: State
    questions: Annotated[
        dict[QuestionName, Question],
        Field(json_schema_extra={"minProperties": 1, "maxProperties": MAX_QUESTIONS}),
    ]
    instructions: Text | None = None
    examples: Annotated[tuple[Example, ...], Field(max_length=MAX_EXAMPLES, strict=False)] = ()
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None

    @field_validator("state")
    @classmethod
    def _something_to_judge(cls, value: JsonValue) -> JsonValue:
        if value is None or (isinstance(value, str) and not value.strip()):
            raise ValueError("is empty")
        return value

    @field_validator("questions")
    @classmethod
    def _some_questions(cls, value: dict[str, Question]) -> dict[str, Question]:
        if not 1 <= len(value) <= MAX_QUESTIONS:
            raise ValueError(f"takes 1 to {MAX_QUESTIONS} questions, not {len(value)}")
        return value

    @model_validator(mode="after")
    def _one_text(self) -> DecisionRequest:
        if self.format is ReplyFormat.TEXT and len(self.questions) > 1:
            raise ValueError("format: text has room for the answer to one question: ask one, or leave it out")
        return self

    @model_validator(mode="after")
    def _examples_that_fit(self) -> DecisionRequest:
        for number, example in enumerate(self.examples):
            for name, answer in example.answers.items():
                if name not in self.questions:
                    raise ValueError(f"examples.{number}.answers: there is no question {name!r}")
                if option_of(answer) not in self.questions[name].options:
                    raise ValueError(
                        f"examples.{number}.answers.{name}: {option_of(answer)!r} is none of its options"
                    )
        return self


class DecisionAnswer(BaseModel):
    """The answer to one question.

    Attributes:
        type: The question's.
        choice: The most probable option; of equals the first.
        probabilities: Of every option, in the question's order; they sum to 1. None where the broker takes no
            message of that size.
        margin: How far the most probable one is ahead of the next, 0 to 1.
        abstain: Whether that is less than the threshold: who wants to be sure should not go by it.
        score: The expected value on a score's scale: its numbers, or its levels counted from 0.
        noul: The probability of yes.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["choice", "score", "yes_no"]
    choice: str
    probabilities: dict[str, float] | None = None
    margin: float
    abstain: bool
    score: float | None = None
    noul: float | None = None


def option_of(answer: str | float) -> str:
    """Return how an option is written that was given as JSON: 3.0 and 3 are "3"."""
    return answer if isinstance(answer, str) else format(_exact(answer).normalize(), "f")


def state_text(state: JsonValue) -> str:
    """Return a state as a model reads it."""
    return state if isinstance(state, str) else compact_json(state)


def parse_decision(payload: bytes, *, limit: int) -> DecisionRequest:
    """Parse a payload of the decide topic.

    Args:
        payload: The raw payload.
        limit: The most bytes allowed.

    Raises:
        TooLargeError: The payload exceeds the limit.
        InvalidRequestError: The payload is no valid request.
    """
    text = text_of(payload, limit=limit)
    if not text.lstrip().startswith("{"):
        raise InvalidRequestError(
            "a decision is a JSON object with state and questions; a text to be answered goes to "
            "<root>/prompt"
        )
    return read_json(DecisionRequest, text)


def _exact(number: float) -> Decimal:
    return Decimal(str(number))
