"""A whole answer. Sans-I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

from edgeassist.client.answers import calls_of
from edgeassist.client.formats import AnswerFormatError
from edgeassist.client.tools import ToolCall
from edgeassist.protocol.events import Done, Timings, Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `str(answer)` is its text.

    Attributes:
        finish_reason: `stop`: the model ended it; `length`: `max_tokens` or the context did; `tool_calls`: it
            waits for the results of its calls.
        usage: Tokens: `prompt_tokens`, of which `cached_tokens` cost no work, and `completion_tokens`, of
            which `reasoning_tokens` are thoughts.
        timings: Milliseconds and tokens per second, as the device measured them.
        device: Which device answered; of a fleet, which of its boxes.
        session: The conversation that it belongs to, if any.
        session_began: Whether nothing was known of that: it is new, or the device that had it is gone.
        history_dropped: How many old messages of the session did not fit the context any more.
        held_back: Why the device had fewer threads than it could have; None where it had all.
        metadata: The request's own.
        reasoning: What the model thought before it answered, the beginning of it; empty where it did not.
        only_reasoning: Whether nothing but thoughts came: give it more `max_tokens`, a smaller
            `reasoning_budget`, or `think=False`.
        tool_calls: What the model calls, to be carried out.
    """

    id: str
    text: str
    finish_reason: str
    usage: Usage
    timings: Timings
    model: str
    device: str
    session: str | None = None
    history_dropped: int = 0
    held_back: str | None = None
    metadata: dict[str, Any] | None = None
    reasoning: str = ""
    only_reasoning: bool = False
    tool_calls: tuple[ToolCall, ...] = ()
    session_began: bool = False

    @classmethod
    def of(cls, done: Done) -> Self:
        """Return the answer that a terminal event carries.

        Raises:
            AnswerFormatError: A call's arguments are no object in JSON.
        """
        return cls(
            id=done.id,
            text=done.text,
            finish_reason=done.finish_reason,
            usage=done.usage,
            timings=done.timings,
            model=done.model,
            device=done.device,
            session=done.session,
            session_began=done.session_began or False,
            history_dropped=done.history_dropped,
            held_back=done.held_back,
            metadata=done.metadata,
            reasoning=done.reasoning or "",
            only_reasoning=done.only_reasoning or False,
            tool_calls=tuple(map(ToolCall.of, calls_of(done))),
        )

    def __str__(self) -> str:
        return self.text

    def message(self) -> dict[str, Any]:
        """Return the answer as a message, for `messages` that go on with it."""
        calls = {"tool_calls": [call.asked() for call in self.tool_calls]} if self.tool_calls else {}
        return {"role": "assistant", "content": self.text, **calls}

    def json(self) -> Any:
        """Return the text's value, of a model that answers in JSON, as the built-in one does to a command.

        Raises:
            AnswerFormatError: The text is no JSON.
        """
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            cut = ", and max_tokens cut it off" if self.finish_reason == "length" else ""
            raise AnswerFormatError(f"the answer is no JSON ({error}){cut}: {self.text[:100]!r}") from None
