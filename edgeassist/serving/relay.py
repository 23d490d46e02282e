"""One answer on its way out: engine events in, reply messages out. Pure; time is passed in.

Keeps the promises of the wire contract: `seq` without gaps, the first text at once and later text
coalesced, exactly one terminal event, and that one last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from edgeassist.engine.messages import Finished
from edgeassist.errors import EdgeAssistError, TooLargeError
from edgeassist.protocol.events import Accepted, Chunk, Done, Failed, Progress, Timings, Usage
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.requests import ReplyFormat

# Of the interval between two chunks, what must be over for text that comes to go out at once. Less than all:
# the engine gathers for an interval as well, and a timer for the last millisecond would be one more wake.
ENOUGH = 0.8


@dataclass(frozen=True, slots=True)
class Pace:
    """How an answer is cut into messages: seconds between chunks and progress events, bytes, QoS."""

    interval_s: float
    progress_s: float
    chunk_bytes: int
    chunk_qos: int
    final_qos: int


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where an answer goes and how."""

    topic: str
    correlation: bytes | None = None
    format: ReplyFormat = ReplyFormat.EVENTS
    stream: bool = True


class Relay:
    """The reply stream of one request.

    Args:
        request: Its id and metadata are echoed.
        to: Where the messages go.
        pace: How they are cut.
        device: Named in the terminal event.
        arrived: When the request came; seconds of the clock that all `now` are of.
        publish: Takes the messages, in order; False where one was dropped.
    """

    def __init__(
        self,
        request: str,
        to: ReplyTo,
        *,
        pace: Pace,
        device: str,
        arrived: float,
        publish: Callable[[Outbound], bool],
        metadata: dict[str, JsonValue] | None = None,
    ) -> None:
        self._id = request
        self._to = to
        self._pace = pace
        self._device = device
        self._metadata = metadata
        self._arrived = arrived
        self._publish = publish
        self._finals: list[Outbound] = []
        self._seq = 0
        self._text: list[str] = []
        self._held: list[str] = []
        self._last_chunk: float | None = None
        self._last_progress: float | None = None
        self._started: float | None = None
        self._first_text: float | None = None
        self.ended = False
        # Why the engine had fewer threads meanwhile than it could have.
        self.held_back: str | None = None

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._text)

    @property
    def finals(self) -> tuple[Outbound, ...]:
        """The messages that ended the stream; they say all of it, and may be sent again."""
        return tuple(self._finals)

    @property
    def began(self) -> bool:
        """Whether text has gone out: such a request can't start again unnoticed."""
        return self._last_chunk is not None

    def accepted(self, *, model: str | None, position: int, cancel: str) -> None:
        """Say that the request will be answered."""
        if self._speaks:
            self._send_event(
                Accepted(
                    id=self._id,
                    seq=self._seq,
                    device=self._device,
                    model=model,
                    position=position,
                    cancel=cancel,
                    metadata=self._metadata,
                ),
            )

    def started(self, now: float) -> None:
        """Note that the engine has it, maybe for a second time; of the first, no text has gone out."""
        self._started = now
        self._first_text = None
        self._text.clear()
        self._held.clear()

    def progress(self, *, processed: int, cached: int, total: int, now: float) -> None:
        """Say how far the prompt is read, unless that was said a moment ago."""
        recent = self._last_progress is not None and now - self._last_progress < self._pace.progress_s
        if self._speaks and not recent and not self.began:
            self._last_progress = now
            self._send_event(
                Progress(id=self._id, seq=self._seq, processed=processed, cached=cached, total=total)
            )

    def piece(self, text: str, now: float, *, hold: bool = False) -> None:
        """Take text; it goes out at once if it is the first or the interval is over, and nothing holds it."""
        if self._first_text is None:
            self._first_text = now
        self._text.append(text)
        if self._to.stream:
            self._held.append(text)
        last = self._last_chunk
        soon = last is not None and now - last < ENOUGH * self._pace.interval_s
        if not soon and not hold:
            self.flush(now)

    def next_flush(self) -> float | None:
        """Return when text that waits is due; None where none waits."""
        if not self._held:
            return None
        if self._last_chunk is None:
            return 0.0
        return self._last_chunk + self._pace.interval_s

    def due(self, now: float) -> bool:
        """Whether text waits that has waited long enough."""
        flush = self.next_flush()
        return flush is not None and flush <= now

    def flush(self, now: float) -> None:
        """Send the text that waits."""
        held, self._held = "".join(self._held), []
        if not held:
            return
        self._last_chunk = now
        for text in split(held, self._pace.chunk_bytes):
            if self._to.format is ReplyFormat.TEXT:
                self._send(text.encode(), qos=self._pace.chunk_qos)
            else:
                self._send_event(Chunk(id=self._id, seq=self._seq, text=text))

    def done(self, finished: Finished, *, model: str, session: str | None, now: float) -> Done:
        """End the stream with the whole answer."""
        self.flush(now)
        queue = (now if self._started is None else self._started) - self._arrived
        done = Done(
            id=self._id,
            seq=self._seq_of_end(),
            text=self.text,
            finish_reason=finished.reason.value,
            usage=Usage(
                prompt_tokens=finished.prompt_tokens,
                cached_tokens=finished.cached_tokens,
                completion_tokens=finished.completion_tokens,
            ),
            timings=Timings(
                queue_ms=_ms(queue),
                prefill_ms=round(finished.prefill_ms, 2),
                ttft_ms=None if self._first_text is None else _ms(self._first_text - self._arrived),
                decode_ms=round(finished.decode_ms, 2),
                total_ms=_ms(now - self._arrived),
                overhead_ms=round(finished.overhead_ms, 2),
                prefill_tokens_per_s=_rate(
                    finished.prompt_tokens - finished.cached_tokens, finished.prefill_ms
                ),
                decode_tokens_per_s=_rate(finished.completion_tokens - 1, finished.decode_ms),
            ),
            model=model,
            device=self._device,
            session=session,
            history_dropped=finished.dropped_messages,
            held_back=self.held_back,
            metadata=self._metadata,
        )
        self._end(done)
        return done

    def failed(self, error: EdgeAssistError, now: float) -> Failed:
        """End the stream with an error and what was produced so far."""
        self.flush(now)
        failed = self._failure(error, text=self.text)
        self._end(failed)
        return failed

    def _failure(self, error: EdgeAssistError, *, text: str) -> Failed:
        return Failed(
            id=self._id,
            seq=self._seq_of_end(),
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            retry_after_ms=error.retry_after_ms,
            text=text,
            device=self._device,
            metadata=self._metadata,
        )

    @property
    def _speaks(self) -> bool:
        """Whether events other than the last go out."""
        return self._to.stream and self._to.format is ReplyFormat.EVENTS

    def _seq_of_end(self) -> int:
        """Return the number of the terminal event; a bare text's end is said before it, in two messages."""
        if self._to.format is ReplyFormat.EVENTS:
            return self._seq
        return self._seq + (1 if self._to.stream or not self._text else 2)

    def _end(self, event: Done | Failed) -> None:
        self.ended = True
        qos = self._pace.final_qos
        if self._to.format is ReplyFormat.EVENTS:
            if not self._send_event(event, qos=qos) and event.text:
                self._apologise(event)
            return
        if not self._to.stream and self._text:
            self._send(self.text.encode(), qos=qos)
        self._send(b"", qos=qos)
        self._send_event(event, qos=qos, topic=f"{self._to.topic}/end")

    def _apologise(self, event: Done | Failed) -> None:
        """End with a short message in the place of one that the broker does not take."""
        self._seq = event.seq
        error = TooLargeError(
            f"the answer has {len(event.text.encode())} bytes, and the broker does not take as much in one "
            "message: its chunks were all of it; or ask for less (max_tokens)",
        )
        self._send_event(self._failure(error, text=""), qos=self._pace.final_qos)

    def _send_event(
        self,
        event: Accepted | Progress | Chunk | Done | Failed,
        *,
        qos: int | None = None,
        topic: str | None = None,
    ) -> bool:
        return self._send(event.payload(), qos=self._pace.chunk_qos if qos is None else qos, topic=topic)

    def _send(self, payload: bytes, *, qos: int, topic: str | None = None) -> bool:
        self._seq += 1
        message = Outbound(topic or self._to.topic, payload, qos, correlation=self._to.correlation)
        if self.ended:
            self._finals.append(message)
        return self._publish(message)


def split(text: str, most: int) -> list[str]:
    """Cut the text into parts of at most so many bytes of UTF-8, between characters."""
    parts = []
    data = text.encode()
    start = 0
    while len(data) - start > most:
        end = start + most
        # A byte 10xxxxxx continues a character.
        while data[end] & 0xC0 == 0x80:  # noqa: PLR2004
            end -= 1
        parts.append(data[start:end].decode())
        start = end
    parts.append(data[start:].decode())
    return parts


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _rate(tokens: int, duration_ms: float) -> float | None:
    return round(tokens / duration_ms * 1000, 2) if tokens > 0 and duration_ms > 0 else None
