"""What was published and is not with the broker yet: how many messages and bytes. Sans-I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edgeassist.protocol.packets import Outbound

# Unsent bytes above which streams should pause.
HIGH_WATER_BYTES = 1 << 18
# Likewise for messages, far below the least that may wait by default: an end must still find its place.
HIGH_WATER_MESSAGES = 64
# An upper bound of a PUBLISH packet's size without topic, payload and correlation data.
HEADER_BYTES = 32


@dataclass(slots=True)
class Outbox:
    """Messages on their way over the connection, and those that wait for the next one.

    Attributes:
        packet_limit: The largest packet that the broker takes, in bytes, as the last connection told it; None
            without a limit.
    """

    packet_limit: int | None = None
    _unsent: deque[tuple[Callable[[], bool], int]] = field(default_factory=deque)
    _unsent_bytes: int = 0
    _queued: set[int] = field(default_factory=set)

    @property
    def congested(self) -> bool:
        """True if what waits exceeds HIGH_WATER_BYTES or HIGH_WATER_MESSAGES; streams should pause."""
        return self.waiting > HIGH_WATER_MESSAGES or self._unsent_bytes > HIGH_WATER_BYTES

    @property
    def waiting(self) -> int:
        """The number of messages that are not with the broker yet."""
        self._forget_sent()
        return len(self._unsent) + len(self._queued)

    def takes(self, message: Outbound) -> bool:
        """Whether the broker takes a message of this size; one that it doesn't would end the connection."""
        if self.packet_limit is None:
            return True
        size = len(message.payload) + len(message.topic.encode()) + len(message.correlation or b"")
        return size + HEADER_BYTES <= self.packet_limit

    def sending(self, is_sent: Callable[[], bool], size: int) -> None:
        """Note a message handed to the connection, and its bytes; messages are sent in order."""
        self._unsent.append((is_sent, size))
        self._unsent_bytes += size

    def queued(self, packet: int) -> None:
        """Note a message that waits for the next connection, by its packet id."""
        self._queued.add(packet)

    def acknowledged(self, packet: int) -> bool:
        """Note an acknowledgement; False if no queued message is left that waits for one."""
        self._queued.discard(packet)
        return bool(self._queued)

    def clear(self) -> None:
        """Forget everything: it was given up."""
        self._unsent.clear()
        self._queued.clear()
        self._unsent_bytes = 0

    def _forget_sent(self) -> None:
        while self._unsent and self._unsent[0][0]():
            self._unsent_bytes -= self._unsent.popleft()[1]
