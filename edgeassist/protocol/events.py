"""The events of an answer, as the requester receives them.

Fields that are None are left out of the payload, to keep messages small.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter
from pydantic_core import to_json

from edgeassist.errors import Code, EdgeAssistError, error_for
from edgeassist.protocol.decisions import DecisionAnswer
from edgeassist.protocol.tools import ToolCall

# So much of the thoughts is in `done`, in characters.
MAX_REASONING = 8192


class _Event(BaseModel):
    """Base of all events.

    Attributes:
        id: The request's.
        seq: Counts 0, 1, 2, … over the whole stream.
        type: Which event it is.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    seq: int

    def payload(self) -> bytes:
        """Return the event as it goes over the wire."""
        return to_json(self, exclude_none=True)


class Accepted(_Event):
    """The request will be answered.

    Attributes:
        device: Which device answers.
        model: What answers; None while none is loaded, and while another one is on its way.
        position: Its place in the queue, 0 for the next to start.
        model_ready_in_s: Seconds until the model will be loaded, by its last load; None while it is loaded,
            and where nothing tells.
        cancel: Where to cancel it, in the request's transport; over MQTT a topic.
        metadata: The request's.
    """

    type: Literal["accepted"] = "accepted"
    device: str
    model: str | None = None
    position: int
    model_ready_in_s: float | None = None
    cancel: str | None = None
    metadata: dict[str, JsonValue] | None = None


class Progress(_Event):
    """How much of the prompt has been read.

    Attributes:
        processed: Tokens that are read.
        cached: How many of them cost no work, because they were read before.
        total: Tokens of the prompt.
    """

    type: Literal["progress"] = "progress"
    processed: int
    cached: int
    total: int


class Chunk(_Event):
    """The next piece of the text.

    Attributes:
        text: At most `stream.chunk_bytes` bytes, never cut inside of a character.
        repeat: True where it comes before an end that is said again; else None.
    """

    type: Literal["chunk"] = "chunk"
    text: str
    repeat: Literal[True] | None = None


class Reasoning(_Event):
    """The next piece of what the model thinks before the text.

    Attributes:
        text: The piece.
    """

    type: Literal["reasoning"] = "reasoning"
    text: str


class Called(_Event):
    """The model calls a tool; a call that is too large for a client's packet comes in several events.

    Attributes:
        index: Which of the answer's calls it is, from 0.
        tool_call_id: By which its result names it; None in all events of a call but the first.
        name: The tool's; None where `tool_call_id` is.
        arguments: A JSON object as text, or the next piece of it.
        more: True in all events of a call but the last; else None.
        repeat: True where it comes before an end that is said again; else None.
    """

    type: Literal["tool_call"] = "tool_call"
    index: int
    tool_call_id: str | None = None
    name: str | None = None
    arguments: str
    more: Literal[True] | None = None
    repeat: Literal[True] | None = None


class Usage(BaseModel):
    """Token counts.

    Attributes:
        prompt_tokens: Of the prompt.
        cached_tokens: How many of these cost no work, because they were read before.
        completion_tokens: Of the answer; the token that ends a turn is not counted.
        reasoning_tokens: How many of these are thoughts and their marks; None where there were none.
    """

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int | None = None


class Timings(BaseModel):
    """Milliseconds, and rates in tokens per second.

    Attributes:
        queue_ms: From arrival until the engine started on it.
        prefill_ms: In the engine, from its start to the first token.
        ttft_ms: From arrival until the first text came from the engine.
        decode_ms: In the engine, from the first token to the last.
        total_ms: From arrival until the answer was complete.
        overhead_ms: The part of `prefill_ms` + `decode_ms` spent outside the model.
        prefill_tokens_per_s: At which the prompt was read.
        decode_tokens_per_s: At which the answer was written.
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
    """The answer is complete.

    Attributes:
        text: The whole answer.
        reasoning: What the model thought before, its first 8,192 characters; None where it did not.
        only_reasoning: True where nothing but thoughts came; else None.
        finish_reason: `stop`: the model, or a stop text, ended it; `length`: there was no room for more;
            `tool_calls`: it called.
        tool_calls: What the model called, in this order.
        answers: By the name of the question, of a decision; None for a prompt.
        usage: How many tokens.
        timings: How long it took.
        model: What answered.
        device: Which device answered.
        session: The request's.
        session_began: True where the session was not known and began with this request; else None.
        history_dropped: How many old messages of the session did not fit the context any more.
        held_back: Why there were fewer threads than the device could give; None where there were not.
        metadata: The request's.
        repeat: True where this end was said before, and its requester may have missed it, or where a device
            that is gone may have said another one; else None.
    """

    type: Literal["done"] = "done"
    text: str
    reasoning: str | None = None
    only_reasoning: Literal[True] | None = None
    finish_reason: Literal["stop", "length", "tool_calls"]
    tool_calls: list[ToolCall] = []
    answers: dict[str, DecisionAnswer] | None = None
    usage: Usage
    timings: Timings
    model: str
    device: str
    session: str | None = None
    session_began: Literal[True] | None = None
    history_dropped: int = 0
    held_back: str | None = None
    metadata: dict[str, JsonValue] | None = None
    repeat: Literal[True] | None = None


class Failed(_Event):
    """The request failed.

    Attributes:
        code: Why.
        message: For a person.
        retryable: Whether the same request may succeed later.
        retry_after_ms: When to try again; None where nothing tells.
        text: What was written before.
        device: Which device says so.
        metadata: The request's.
        repeat: True where this end was said before, and its requester may have missed it; else None.
    """

    type: Literal["error"] = "error"
    code: Code
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    text: str = ""
    device: str
    metadata: dict[str, JsonValue] | None = None
    repeat: Literal[True] | None = None

    def error(self) -> EdgeAssistError:
        """Return the error, to be raised where the request was made."""
        return error_for(
            self.code, self.message, retryable=self.retryable, retry_after_ms=self.retry_after_ms
        )

    @classmethod
    def in_place_of(cls, end: Done | Failed, error: EdgeAssistError) -> Failed:
        """Return an end without text, for one that can't be delivered."""
        return cls(
            id=end.id,
            seq=end.seq,
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            device=end.device,
            metadata=end.metadata,
            repeat=end.repeat,
        )


def said_again(end: Done | Failed) -> Done | Failed:
    """Return an end as it is said when it was said before."""
    return end.model_copy(update={"repeat": True})


AnyEvent = Accepted | Progress | Reasoning | Chunk | Called | Done | Failed

_events: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="type")])


def parse_event(payload: bytes) -> AnyEvent:
    """Parse an event's payload.

    Raises:
        ValueError: The payload is not a valid event (pydantic's ValidationError).
    """
    return _events.validate_json(payload)
