"""What stands retained on `<root>/watch/<name>`: what is known from a watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgeassist.protocol.decisions import Kind
from edgeassist.protocol.state import StateDocument


class WatchAnswer(BaseModel):
    """What is known of one question.

    Attributes:
        type: The question's.
        choice: What counts; None: unknown.
        since: Since when it counts (ISO 8601, UTC).
        score: The expected value of a score, of the last answer that agreed with `choice`.
        probabilities: Of each option, in the last answer; None before one.
        margin: How far the most probable is ahead of the next, there.
        abstain: Whether that was less than the threshold.
        noul: The probability of yes, there.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["choice", "score", "yes_no"]
    choice: str | None = None
    since: str | None = None
    score: float | None = None
    probabilities: dict[str, float] | None = None
    margin: float | None = None
    abstain: bool | None = None
    noul: float | None = None


class WatchState(StateDocument):
    """What is known from one watch.

    Attributes:
        answers: By the question's name.
        reason: Why something is unknown, or not as fresh as it should be; None: all is well.
        state_at: When the newest message came of what was answered (ISO 8601, UTC).
        answered_at: When the last answer came.
    """

    answers: dict[str, WatchAnswer]
    reason: str | None
    state_at: str | None
    answered_at: str | None

    def payloads(self) -> list[bytes]:
        """Return the document, and then without probabilities."""
        bare = {
            name: answer.model_copy(update={"probabilities": None}) for name, answer in self.answers.items()
        }
        less = self.model_copy(update={"answers": bare})
        return [self.model_dump_json().encode(), less.model_dump_json().encode()]


class _KindOnly(BaseModel):
    type: Kind


class _Questions(BaseModel):
    answers: dict[str, _KindOnly]


def questions_in(payload: bytes) -> Mapping[str, Kind]:
    """Return which questions such a message is about, and of what kind; none where it is no such message."""
    try:
        read = _Questions.model_validate_json(payload)
    except ValidationError:
        return {}
    return {name: each.type for name, each in read.answers.items()}
