"""What a requester gets: the events of an answer.

A field that is None stays out of the message: the clients are small.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter
from pydantic_core import to_json

from edgeassist.errors import Code


class _Event(BaseModel):
    """What all events carry: the request's id, and a number that counts from 0 without gaps."""

    model_config = ConfigDict(frozen=True)

    id: str
    seq: int

    def payload(self) -> bytes:
        """Return the event as it goes over the wire."""
        return to_json(self, exclude_none=True)


class Accepted(_Event):
    """The request will be answered.

    Attributes:
        position: Its place in the queue, 0 for the next to start.
        cancel: Where to cancel it, in the terms of the transport that it came by.
    """

    type: Literal["accepted"] = "accepted"
    device: str
    model: str | None = None
    position: int
    cancel: str | None = None
    metadata: dict[str, JsonValue] | None = None


class Progress(_Event):
    """So many tokens of the prompt are read: `processed` of `total`, `cached` of them without work."""

    type: Literal["progress"] = "progress"
    processed: int
    cached: int
    total: int


class Chunk(_Event):
    """The next piece of the text."""

    type: Literal["chunk"] = "chunk"
    text: str


class Usage(BaseModel):
    """Tokens: of the prompt, those of them that cost no work, and of the answer."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class Timings(BaseModel):
    """Milliseconds from arrival unless said otherwise, and rates in tokens a second.

    Attributes:
        queue_ms: Until the engine began.
        prefill_ms: In the engine, from its begin to the first token.
        ttft_ms: Until the first text went out.
        decode_ms: In the engine, from the first token to the last.
        total_ms: Until the answer was complete.
        overhead_ms: What of `prefill_ms` and `decode_ms` was not spent in the model.
    """

    model_config = ConfigDict(frozen=True)

    queue_ms: float
    prefill_ms: float
    ttft_ms: float | None = None
    decode_ms: float
    total_ms: float
    overhead_ms: float | None = None
    prefill_tokens_per_s: float | None = None
    decode_tokens_per_s: float | None = None


class Done(_Event):
    """The answer is complete; `text` is all of it."""

    type: Literal["done"] = "done"
    text: str
    finish_reason: Literal["stop", "length", "tool_calls"]
    tool_calls: list[JsonValue] = []
    usage: Usage
    timings: Timings
    model: str
    device: str
    session: str | None = None
    history_dropped: int = 0
    held_back: str | None = None
    metadata: dict[str, JsonValue] | None = None


class Failed(_Event):
    """The request ended without an answer; `text` is what had been produced."""

    type: Literal["error"] = "error"
    code: Code
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    text: str = ""
    device: str
    metadata: dict[str, JsonValue] | None = None


AnyEvent = Accepted | Progress | Chunk | Done | Failed

_events: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="type")])


def parse_event(payload: bytes) -> AnyEvent:
    """Return the event that a payload holds; a ValueError (pydantic's) where it holds none."""
    return _events.validate_json(payload)
