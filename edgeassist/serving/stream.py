"""One request's events on their way out. Sans-I/O; time is passed in.

Keeps the promises of the wire contract: `seq` without gaps, the first text at once and later text
coalesced, exactly one terminal event, and that one last.
"""

from __future__ import annotations

import logging
import secrets
import string
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from edgeassist.engine.messages import Decided, Finished
from edgeassist.errors import EdgeAssistError
from edgeassist.protocol.decisions import DecisionAnswer
from edgeassist.protocol.events import (
    MAX_REASONING,
    Accepted,
    AnyEvent,
    Chunk,
    Done,
    Failed,
    Progress,
    Reasoning,
)
from edgeassist.protocol.fitting import call_events, split
from edgeassist.protocol.tools import CALL_ID_CHARACTERS, CalledFunction, ToolCall
from edgeassist.serving.figures import Course, timings_of, usage_of
from edgeassist.serving.sink import Sink

log = logging.getLogger(__name__)

# The share of the interval after which new text goes out at once. Less than 1: the engine gathers for an
# interval too, and a timer for the last millisecond would be one more wake.
EARLY_SHARE = 0.8
# How soon a congested sink is looked at again.
CONGESTED_RETRY_S = 0.05
# A `reasoning` event is so much longer than a `chunk` with the same text.
_LONGER = len("reasoning") - len("chunk")
# What a sink takes at least.
_LEAST_BYTES = 6
_OF_CALL_IDS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two chunks, and between two progress events."""

    interval_s: float
    progress_s: float


class Stream:
    """The events of one request.

    Args:
        request_id: On every event.
        sink: Takes the events.
        pace: How often it gets them.
        device: Named in `accepted` and in the end.
        arrived: When the request came; seconds of the clock that every `now` is of.
        chunks: Whether there is more than the terminal event.
        first_seq: The number of the first event.
        metadata: Comes back in `accepted` and in the end.
    """

    def __init__(
        self,
        request_id: str,
        sink: Sink,
        *,
        pace: Pace,
        device: str,
        arrived: float,
        chunks: bool = True,
        first_seq: int = 0,
        metadata: dict[str, JsonValue] | None = None,
    ) -> None:
        self._id = request_id
        self._sink = sink
        self._pace = pace
        self._device = device
        self._arrived = arrived
        self._chunks = chunks
        self._metadata = metadata
        self._seq = first_seq
        self._text: list[str] = []
        self._unsent: list[str] = []
        self._thoughts: list[str] = []
        self._thoughts_length = 0
        self._unsent_thoughts: list[str] = []
        self._calls: list[ToolCall] = []
        self._called = False
        self._last_thought: float | None = None
        self._last_chunk: float | None = None
        self._last_progress: float | None = None
        self._started: float | None = None
        self._first_text: float | None = None
        # Why the engine has had fewer threads than it could, since the request started.
        self.held_back: str | None = None
        # Whether nothing was known of its session when it started.
        self.session_began = False

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._text)

    @property
    def began(self) -> bool:
        """Whether text or a call has gone out: such a request can't start again unnoticed."""
        return self._called or self._last_chunk is not None

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """All calls so far."""
        return tuple(self._calls)

    def accepted(self, *, model: str | None, position: int, ready_in_s: float | None = None) -> None:
        """Say that the request will be answered; `ready_in_s`: seconds until the model is loaded."""
        if self._chunks and self._sink.wants_progress:
            self._send(
                Accepted(
                    id=self._id,
                    seq=self._next(),
                    device=self._device,
                    model=model,
                    position=position,
                    model_ready_in_s=None if ready_in_s is None else round(ready_in_s, 1),
                    metadata=self._metadata,
                ),
            )

    def started(self, now: float) -> None:
        """Note that the engine has it; for a second time only if nothing of the first counts as begun."""
        self._started = now
        self._first_text = None
        self._text.clear()
        self._unsent.clear()
        self._calls.clear()
        self._thoughts.clear()
        self._thoughts_length = 0
        self._unsent_thoughts.clear()

    def anew(self) -> None:
        """Begin again from the first number: the next event is `accepted`, and what was said is void."""
        self._seq = 0
        self._called = False
        self._last_chunk = self._last_thought = self._last_progress = None

    def progress(self, *, processed: int, cached: int, total: int, now: float) -> None:
        """Say how much of the prompt is read, unless that was said a moment ago."""
        recent = self._last_progress is not None and now - self._last_progress < self._pace.progress_s
        if self._chunks and self._sink.wants_progress and not recent and not self.began:
            self._last_progress = now
            self._send(
                Progress(id=self._id, seq=self._next(), processed=processed, cached=cached, total=total)
            )

    def think(self, text: str, now: float) -> None:
        """Take what the model thinks before the text; like that, it goes out at once or gathered."""
        if self._thoughts_length < MAX_REASONING:
            self._thoughts.append(text)
            self._thoughts_length += len(text)
        if not self._chunks or not self._sink.wants_progress:
            return
        self._unsent_thoughts.append(text)
        last = self._last_thought
        soon = last is not None and now - last < EARLY_SHARE * self._pace.interval_s
        if not soon and not self._sink.congested:
            self._flush_thoughts(now)

    def add(self, text: str, now: float) -> None:
        """Take text; it goes out at once if it is the first or the interval is over, unless it must wait."""
        if self._first_text is None:
            self._first_text = now
        self._text.append(text)
        if self._chunks:
            self._unsent.append(text)
        last = self._last_chunk
        soon = last is not None and now - last < EARLY_SHARE * self._pace.interval_s
        if not soon and not self._sink.congested:
            self.flush(now)

    def call(self, name: str, arguments: str, now: float) -> None:
        """Take a call of a tool; it goes out at once, behind what waits.

        Args:
            name: The tool's.
            arguments: A JSON object, as text.
            now: When.
        """
        if self._first_text is None:
            self._first_text = now
        call = ToolCall(id=self._new_call_id(), function=CalledFunction(name=name, arguments=arguments))
        self._calls.append(call)
        if not self._chunks:
            return
        self.flush(now)
        self._called = True
        events = call_events(self._id, self._seq, len(self._calls) - 1, call, self._sink.event_bytes)
        self._seq += len(events)
        for event in events:
            self._send(event)

    def next_flush(self, now: float) -> float | None:
        """Return when to call `flush_due`; None where no text waits."""
        last = self._last_chunk if self._unsent else self._last_thought
        if not self._unsent and not self._unsent_thoughts:
            return None
        due = now if last is None else last + self._pace.interval_s
        return max(due, now + CONGESTED_RETRY_S) if self._sink.congested else due

    def flush_due(self, now: float) -> None:
        """Send the text that has waited long enough, if the sink has room."""
        due = self.next_flush(now)
        if due is not None and due <= now:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Send the text that waits, and before it the thoughts."""
        if self._unsent_thoughts:
            self._flush_thoughts(now)
        unsent, self._unsent = "".join(self._unsent), []
        if not unsent:
            return
        self._last_chunk = now
        for text in split(unsent, self._sink.chunk_bytes, escaped=self._sink.escaped):
            self._send(Chunk(id=self._id, seq=self._next(), text=text))

    def _flush_thoughts(self, now: float) -> None:
        unsent, self._unsent_thoughts = "".join(self._unsent_thoughts), []
        self._last_thought = now
        most = max(_LEAST_BYTES, self._sink.chunk_bytes - _LONGER)
        for text in split(unsent, most, escaped=self._sink.escaped):
            self._send(Reasoning(id=self._id, seq=self._next(), text=text))

    def done(self, finished: Finished, *, model: str, session: str | None, now: float) -> Done:
        """End the stream with the whole answer."""
        self.flush(now)
        return self._end(
            finished,
            text=self.text,
            reasoning="".join(self._thoughts)[:MAX_REASONING] or None,
            only_reasoning=True if finished.reasoning_tokens and not self._text and not self._calls else None,
            finish_reason=finished.reason.value,
            tool_calls=list(self._calls),
            model=model,
            session=session,
            session_began=True if self.session_began else None,
            history_dropped=finished.dropped_messages,
            now=now,
        )

    def decided(
        self, decided: Decided, answers: dict[str, DecisionAnswer], *, text: str, model: str, now: float
    ) -> Done:
        """End the stream with a decision.

        Args:
            decided: What the engine says of it.
            answers: To its questions.
            text: What of them is told as bare text.
            model: Who made it.
            now: When.
        """
        return self._end(decided, text=text, finish_reason="stop", answers=answers, model=model, now=now)

    def _end(self, end: Finished | Decided, *, now: float, **fields: Any) -> Done:
        started = self._arrived if self._started is None else self._started
        done = Done(
            id=self._id,
            seq=self._next(),
            usage=usage_of(end),
            timings=timings_of(end, Course(self._arrived, started, self._first_text, now)),
            device=self._device,
            held_back=self.held_back,
            metadata=self._metadata,
            **fields,
        )
        self._send(done)
        return done

    def failed(self, error: EdgeAssistError, now: float) -> Failed:
        """End the stream with an error and what was produced so far."""
        self.flush(now)
        failed = Failed(
            id=self._id,
            seq=self._next(),
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            retry_after_ms=error.retry_after_ms,
            text=self.text,
            device=self._device,
            metadata=self._metadata,
        )
        self._send(failed)
        return failed

    def _send(self, event: AnyEvent) -> None:
        try:
            self._sink.send(event)
        except Exception:  # a bug in one transport must not end the requests of the others
            log.exception("an event of the request %s could not be sent", self._id)

    def _new_call_id(self) -> str:
        known = {call.id for call in self._calls}
        while (id_ := "".join(secrets.choice(_OF_CALL_IDS) for _ in range(CALL_ID_CHARACTERS))) in known:
            pass
        return id_

    def _next(self) -> int:
        """Return the next event's number."""
        seq, self._seq = self._seq, self._seq + 1
        return seq
