"""The events of one request become MQTT messages: where to, in which form, at which QoS."""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.errors import TooLargeError
from edgeassist.gateways.link import Link
from edgeassist.protocol.events import Accepted, AnyEvent, Chunk, Done, Failed, Progress
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.requests import ReplyFormat


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """How events are cut into messages: the most bytes of a chunk's text, and the QoS of both kinds."""

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


class Replies:
    """A `Sink` that publishes.

    Args:
        to: Where the messages go.
        options: How they are cut.
        cancel: The topic to cancel at.
        link: Takes the messages, in order.
    """

    def __init__(self, to: ReplyTo, options: ReplyOptions, *, cancel: str, link: Link) -> None:
        self._to = to
        self._options = options
        self._cancel = cancel
        self._link = link

    @property
    def wants_progress(self) -> bool:
        """Not where the payloads are the bare text (`Sink.wants_progress`)."""
        return self._to.format is ReplyFormat.EVENTS

    @property
    def chunk_bytes(self) -> int:
        """As configured (`Sink.chunk_bytes`)."""
        return self._options.chunk_bytes

    @property
    def congested(self) -> bool:
        """Whether the connection has enough to send (`Sink.congested`)."""
        return self._link.congested

    def send(self, event: AnyEvent) -> None:
        """Publish it (`Sink.send`)."""
        match event:
            case Chunk() if self._to.format is ReplyFormat.TEXT:
                self._say(event.text.encode(), self._options.chunk_qos)
            case Chunk() | Progress():
                self._say(event.payload(), self._options.chunk_qos)
            case Accepted():
                self._say(
                    event.model_copy(update={"cancel": self._cancel}).payload(), self._options.chunk_qos
                )
            case Done() | Failed():
                self._end(event)

    def _end(self, event: Done | Failed) -> None:
        if self._to.format is ReplyFormat.TEXT:
            self._end_text(event)
        else:
            self._say_end(event, self._to.topic)

    def _end_text(self, event: Done | Failed) -> None:
        """Say the text, where there were no chunks; then an empty payload, and the event beside it.

        The event's number is that of the messages before it.
        """
        qos = self._options.final_qos
        seq = event.seq + 1
        if not self._to.stream and event.text and self._say(event.text.encode(), qos):
            seq += 1
        self._say(b"", qos)
        self._say_end(event.model_copy(update={"seq": seq}), f"{self._to.topic}/end")

    def _say_end(self, end: Done | Failed, topic: str) -> None:
        shorter = self._outbound(self._too_large(end).payload(), topic) if end.text else None
        self._link.publish(self._outbound(end.payload(), topic, shorter))

    def _outbound(self, payload: bytes, topic: str, shorter: Outbound | None = None) -> Outbound:
        qos = self._options.final_qos
        return Outbound(topic, payload, qos, correlation=self._to.correlation, shorter=shorter)

    def _say(self, payload: bytes, qos: int) -> bool:
        return self._link.publish(Outbound(self._to.topic, payload, qos, correlation=self._to.correlation))

    def _too_large(self, end: Done | Failed) -> Failed:
        """Return a short end in the place of one that the broker does not take."""
        chunks = "its chunks were all of it; or " if self._to.stream else ""
        return Failed.in_place_of(
            end,
            TooLargeError(
                f"the answer has {len(end.text.encode())} bytes, and the broker does not take as much in one "
                f"message: {chunks}ask for less (max_tokens)",
            ),
        )
