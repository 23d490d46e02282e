"""The events of one request become MQTT messages: where to, in which form, at which QoS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from edgeassist.gateways.link import Link
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.gateways.mqtt.ends import Ends, calls_of, too_large, without_reasoning
from edgeassist.protocol.asking import ReplyFormat
from edgeassist.protocol.events import (
    Accepted,
    AnyEvent,
    Called,
    Chunk,
    Done,
    Failed,
    Progress,
    Reasoning,
    said_again,
)
from edgeassist.protocol.fitting import call_events, split
from edgeassist.protocol.packets import Outbound
from edgeassist.serving.sink import OnSettled

# What marks an event as a repeat.
REPEAT_BYTES = len(',"repeat":true')
# Into how many messages a text is cut that goes out at once: far below what may wait for the broker.
MOST_PARTS = 256


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """How events are cut into messages: the most bytes of a chunk's text, and the QoS of both kinds."""

    chunk_bytes: int
    chunk_qos: int
    final_qos: int


class Told(NamedTuple):
    """Who is told what became of an end (`Outbound.on_settled` and `on_unheard`)."""

    settled: Callable[[bool], None] | None = None
    unheard: Callable[[], None] | None = None


# Is told of every end that goes out, and of who is told once nothing is left to be done for it to be heard;
# returns who is told what became of it.
OnEnd = Callable[["Replies", Done | Failed, OnSettled | None], Told]


class Replies:
    """A `Sink` that publishes.

    Args:
        request_id: Of the request that is answered.
        to: Where the messages go.
        options: How they are cut.
        cancel: The topic to cancel at.
        link: Takes the messages, in order.
        asked_at: When the request came, in seconds of the monotonic clock.
        on_end: Is told of the end.
        again: Whether the request may have been ended before, elsewhere: then its end counts as said again.

    Attributes:
        key: Where the answer goes, and the request's id.
        asked_at: As given.
    """

    def __init__(
        self,
        request_id: str,
        to: ReplyTo,
        options: ReplyOptions,
        *,
        cancel: str,
        link: Link,
        asked_at: float = 0.0,
        on_end: OnEnd | None = None,
        again: bool = False,
    ) -> None:
        self.key = (to.topic, request_id)
        self.asked_at = asked_at
        self._on_end = on_end
        self._again = again
        self._to = to
        self._ends = Ends(to)
        self._options = options
        self._cancel = cancel
        self._link = link
        self._room = to.room(to.topic)
        self._frame = 0 if self.bare else len(Chunk(id=request_id, seq=9_999_999, text="").payload())
        self._chunk_bytes = self._most_text()
        self._begun = False
        # Whether text or a call has gone out by itself.
        self._said_some = False

    @property
    def wants_progress(self) -> bool:
        """Not where the payloads are the bare text (`Sink.wants_progress`)."""
        return not self.bare

    @property
    def chunk_bytes(self) -> int:
        """As configured, or what the client's buffer holds (`Sink.chunk_bytes`)."""
        return self._chunk_bytes

    @property
    def escaped(self) -> bool:
        """Whether the packet must fit, with the JSON around the text (`Sink.escaped`)."""
        return self._room is not None and not self.bare

    @property
    def event_bytes(self) -> int | None:
        """What the client's buffer holds (`Sink.event_bytes`)."""
        return self._room

    @property
    def congested(self) -> bool:
        """Whether the connection has enough to send (`Sink.congested`)."""
        return self._link.congested

    def send(
        self, event: AnyEvent, on_settled: OnSettled | None = None, on_heard: OnSettled | None = None
    ) -> None:
        """Publish it (`Sink.send`)."""
        match event:
            case Chunk():
                self._said_some = True
                self._say(event.text.encode() if self.bare else event.payload(), self._options.chunk_qos)
            case Called():
                self._said_some = True
                self._say(event.payload(), self._options.chunk_qos)
            case Progress() | Reasoning():
                self._say(event.payload(), self._options.chunk_qos)
            case Accepted():
                named = event.model_copy(update={"cancel": self._cancel})
                self._link.publish(self._ends.shrinking(named, self._to.topic, self._options.chunk_qos))
            case Done() | Failed():
                end = said_again(event) if self._again else event
                told = Told(on_heard) if self._on_end is None else self._on_end(self, end, on_heard)
                self._end(end, told._replace(settled=_both(told.settled, on_settled)))
                return
        self._begun = True

    def say_again(self, end: Done | Failed, told: Told) -> None:
        """Say an end that was said before, with its text where it can't carry it, marked as a repeat.

        Args:
            end: As it was.
            told: Who is told what became of it.
        """
        self._said_some = False
        self._end(said_again(end), told)

    @property
    def bare(self) -> bool:
        """Whether the payloads are the bare text."""
        return self._to.format is ReplyFormat.TEXT

    def _end(self, event: Done | Failed, told: Told) -> None:
        """Say the end, and before it text and calls that no event has said, where it can't carry them.

        So it is without streaming, and where an answer is given again. The end's number is that of the
        messages before it.
        """
        qos = self._qos_of(event)
        content = event.text or calls_of(event)
        if content and not self._said_some and (self.bare or not self._ends.carries_all(event)):
            event = self._say_all(event)
        if self.bare:
            self._say(b"", qos)
            event = without_reasoning(event)
            event = event.model_copy(update={"seq": event.seq + 1})
        message = self._ends.message(event, qos)
        again = None if event.repeat else partial(self._ends.message, said_again(event), qos)
        self._link.publish(replace(message, on_settled=told.settled, on_unheard=told.unheard, again=again))

    def _qos_of(self, end: Done | Failed) -> int:
        """Return an end's QoS: a flood of refusals must not take the room that others' answers wait in."""
        refused = isinstance(end, Failed) and not self._begun
        return 0 if refused and self._link.connected and self._link.congested else self._options.final_qos

    def _say_all(self, event: Done | Failed) -> Done | Failed:
        """Say text and calls in as many messages as they need; return the end that follows."""
        mark = REPEAT_BYTES if event.repeat and not self.bare else 0
        most = self._room and self._most_text(mark)
        texts = split(event.text, most, escaped=self.escaped) if most else [event.text]
        events: list[Chunk | Called] = [
            Chunk(id=event.id, seq=seq, text=text) for seq, text in enumerate(filter(None, texts))
        ]
        for index, call in enumerate(calls_of(event)):
            events += call_events(event.id, len(events), index, call, self._room and self._room - mark)
        if len(events) > MOST_PARTS:
            problem = f"more than {MOST_PARTS} messages of this client's size do not go out at once"
            return too_large(event, f"{problem}: set stream to true, or ask for less (max_tokens)")
        said = 0
        for part in events:
            each = part.model_copy(update={"repeat": event.repeat})
            payload = each.text.encode() if self.bare and isinstance(each, Chunk) else each.payload()
            said += self._say(payload, self._options.final_qos)
        return event.model_copy(update={"seq": said if self.bare else len(events)})

    def _most_text(self, mark: int = 0) -> int:
        """Return the most bytes of a chunk's text, beside a mark of so many."""
        most = self._options.chunk_bytes
        return most if self._room is None else min(most, self._room - self._frame - mark)

    def _say(self, payload: bytes, qos: int) -> bool:
        return self._link.publish(Outbound(self._to.topic, payload, qos, correlation=self._to.correlation))


def _both(one: OnSettled | None, other: OnSettled | None) -> OnSettled | None:
    if one is None or other is None:
        return one or other

    def settled(delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled`
        one(delivered)
        other(delivered)

    return settled
