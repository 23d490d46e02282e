"""What can be set of a watch; `[[watch]]` stands there once for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from edgeassist.protocol.asking import explain
from edgeassist.protocol.decisions import DecisionRequest, Example, Question, Text
from edgeassist.protocol.values import NAME_PATTERN
from edgeassist.settings.table import Table
from edgeassist.watching.checks import check_watchable
from edgeassist.watching.options import MAX_INPUTS, MAX_KEEP, InputOptions, WatchOptions
from edgeassist.watching.picking import Pick

_NAMES = "must be 1 to 64 of A-Z a-z 0-9 _ -"


class WatchTopicSettings(Table):
    """One topic, or a filter of several; it may hold secrets, so it is shown nowhere.

    Attributes:
        topic: A topic, or a filter with + and #.
        json_path: Which part of its JSON counts (RFC 9535); without one, all of it.
        label: What the model reads it as; by default the topic.
        keep: How many of its last messages count.
        step: To a multiple of which its numbers are rounded, so that noise is no change.
    """

    topic: SecretStr
    json_path: str | None = None
    label: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    keep: Annotated[int, Field(ge=1, le=MAX_KEEP)] = 1
    step: Annotated[float, Field(gt=0, le=1e9)] | None = None

    @field_validator("topic")
    @classmethod
    def _watchable(cls, value: SecretStr) -> SecretStr:
        check_watchable(value.get_secret_value())
        return value

    @field_validator("json_path")
    @classmethod
    def _a_path(cls, value: str | None) -> str | None:
        if value is not None:
            Pick(value)
        return value


def _topic(value: Any) -> Any:
    return {"topic": value} if isinstance(value, str) else value


class WatchSettings(Table):
    """Questions about topics, asked anew when what came on them has changed."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    topics: Annotated[
        tuple[
            Annotated[
                WatchTopicSettings,
                BeforeValidator(_topic, json_schema_input_type=WatchTopicSettings | str),
            ],
            ...,
        ],
        Field(max_length=MAX_INPUTS),
    ]
    questions: dict[str, Question]
    instructions: Text | None = None
    examples: tuple[Example, ...] = ()
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    interval_s: Annotated[float, Field(ge=1, le=86_400)] = 30
    dwell_s: Annotated[float, Field(ge=0, le=86_400)] = 0
    hysteresis: Annotated[float, Field(ge=0, le=1)] = 0
    stale_s: Annotated[float, Field(ge=1, le=2_592_000)] = 3600

    @field_validator("questions")
    @classmethod
    def _named(cls, value: dict[str, Question]) -> dict[str, Question]:
        if any(re.fullmatch(NAME_PATTERN, name) is None for name in value):
            raise ValueError(f"a question's name {_NAMES}")
        return value

    @model_validator(mode="after")
    def _can_be_asked(self) -> WatchSettings:
        # A limit of pydantic's would be told beside each topic that can't be watched.
        if not self.topics:
            raise ValueError("topics: must be at least one")
        try:
            DecisionRequest(
                state="state",
                questions=self.questions,
                instructions=self.instructions,
                examples=self.examples,
                threshold=self.threshold,
            )
        except ValidationError as error:
            raise ValueError(explain(error)) from None
        labels = [each.label or each.topic.get_secret_value() for each in self.topics]
        if len(set(labels)) < len(labels):
            raise ValueError("topics: two are read by the same name: give each a label of its own")
        if self.stale_s < max(self.interval_s, self.dwell_s):
            raise ValueError("stale_s must not be less than interval_s or dwell_s")
        return self

    @property
    def options(self) -> WatchOptions:
        """The watch as plain values."""
        return WatchOptions(
            name=self.name,
            inputs=tuple(
                InputOptions(each.topic.get_secret_value(), each.json_path, each.label, each.keep, each.step)
                for each in self.topics
            ),
            questions=self.questions,
            instructions=self.instructions,
            examples=self.examples,
            threshold=self.threshold,
            interval_s=self.interval_s,
            dwell_s=self.dwell_s,
            hysteresis=self.hysteresis,
            stale_s=self.stale_s,
        )


def known_keys(place: Sequence[str]) -> list[str]:
    """Return the keys that there are where an unknown one stands, below one watch."""
    tables: dict[str, type[BaseModel]] = {
        "topics": WatchTopicSettings,
        "questions": Question,
        "examples": Example,
    }
    known = tables.get(place[0], WatchSettings) if len(place) > 1 else WatchSettings
    return list(known.model_fields)
