"""Where an answer goes, in which form, and how much of it one packet holds. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.asking import End, ReplyFormat
from edgeassist.protocol.fitting import NEEDED_BYTES, call_bytes, room


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where an answer goes and how.

    Attributes:
        max_packet: The largest packet that the client takes, in bytes; None: any.
    """

    topic: str
    correlation: bytes | None = None
    format: ReplyFormat = ReplyFormat.EVENTS
    stream: bool = True
    max_packet: int | None = None
    end: End = End.FULL

    @property
    def end_topic(self) -> str:
        """Where the terminal event goes."""
        return f"{self.topic}/end" if self.format is ReplyFormat.TEXT else self.topic

    def room(self, topic: str) -> int | None:
        """Return the most bytes of a payload on that topic; None: any number."""
        return None if self.max_packet is None else room(self.max_packet, topic, self.correlation)

    def check(self, request_id: str, tools: Iterable[str] = ()) -> None:
        """Raise an InvalidRequestError where the topic leaves no room in a packet.

        Args:
            request_id: Stands in every event.
            tools: The names that may stand in calls.
        """
        left = self.room(self.end_topic)
        if left is None:
            return
        needed = max([NEEDED_BYTES, *map(call_bytes, tools)]) + len(request_id)
        if left < needed:
            names = "" if needed == NEEDED_BYTES + len(request_id) else ", shorter names of tools"
            raise InvalidRequestError(
                f"max_packet: use a shorter id or reply_to{names}, or a larger buffer: "
                f"{self.max_packet} bytes leave {left} beside the topic, and {needed} are needed"
            )
