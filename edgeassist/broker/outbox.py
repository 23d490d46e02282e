"""What was published and is not with the broker yet: how many messages and bytes. Sans-I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edgeassist.protocol.packets import Outbound

# Unsent bytes above which streams should pause.
HIGH_WATER_BYTES = 1 << 18
# Likewise for messages; at most half as many as may wait: an end must still find its place.
HIGH_WATER_MESSAGES = 64
# An upper bound of a PUBLISH packet's size without topic, payload and correlation data.
HEADER_BYTES = 32
# After so many messages, those that are sent are forgotten, although nobody asked how many wait.
_SEVERAL = 64


def size_of(message: Outbound) -> int:
    """Return the bytes of a PUBLISH packet, but for at most HEADER_BYTES."""
    return len(message.payload) + len(message.topic.encode()) + len(message.correlation or b"")


@dataclass(slots=True, eq=False)
class Letter:
    """A message on its way.

    Attributes:
        doubted: A connection ended while it was on its way; it goes out with nothing beside it.
        trials: How many connections ended when it was tried alone.
        instead_of: The size of the message that it stands for, which may have ended a connection; 0 if none.
        packet: Its packet id, once the connection has it.
        is_sent: Whether the broker has it, or it was lost.
        settled: Whether its `on_settled` was called.
    """

    message: Outbound
    doubted: bool = False
    trials: int = 0
    instead_of: int = 0
    packet: int = 0
    is_sent: Callable[[], bool] = bool
    settled: bool = False


@dataclass(slots=True)
class Outbox:
    """Messages on their way over the connection, and those that wait for their turn or the next connection.

    Args:
        most: How many may wait.

    Attributes:
        taken_bytes: The largest payload that the broker has acknowledged.
    """

    most: int = 1000
    taken_bytes: int = 0
    _under_way: deque[Letter] = field(default_factory=deque)
    _under_way_bytes: int = 0
    _queue: deque[Letter] = field(default_factory=deque)

    @property
    def congested(self) -> bool:
        """True if what waits exceeds HIGH_WATER_BYTES or HIGH_WATER_MESSAGES; streams should pause."""
        several = min(HIGH_WATER_MESSAGES, self.most // 2)
        return self.waiting > several or self._under_way_bytes > HIGH_WATER_BYTES

    @property
    def under_way(self) -> int:
        """The number of messages that the connection has, and the broker has not."""
        self._forget_sent()
        return len(self._under_way)

    @property
    def waiting(self) -> int:
        """The number of messages that are not with the broker yet."""
        return self.under_way + len(self._queue)

    @property
    def queued(self) -> bool:
        """Whether messages wait for their turn."""
        return bool(self._queue)

    def sending(self, letter: Letter, packet: int, is_sent: Callable[[], bool]) -> None:
        """Note a message handed to the connection under a packet id; messages are sent in order."""
        if len(self._under_way) >= _SEVERAL:
            self._forget_sent()
        letter.packet, letter.is_sent = packet, is_sent
        self._under_way.append(letter)
        self._under_way_bytes += len(letter.message.payload)

    def find(self, packet: int) -> Letter | None:
        """Return the message under way with this packet id."""
        return next((each for each in self._under_way if each.packet == packet), None)

    def queue(self, letter: Letter) -> bool:
        """Let a message wait for its turn; False if too many do."""
        if len(self._queue) >= self.most:
            return False
        self._queue.append(letter)
        return True

    def queue_first(self, *letters: Letter) -> None:
        """Let messages wait before all others, however many do."""
        self._queue.extendleft(reversed(letters))

    def first(self) -> Letter | None:
        """Return whose turn it is."""
        return self._queue[0] if self._queue else None

    def take_first(self) -> Letter:
        """Take out whose turn it is; IndexError if nothing waits."""
        return self._queue.popleft()

    def discard(self, unwanted: Callable[[Letter], bool]) -> list[Letter]:
        """Take out what waits and is unwanted."""
        taken = [each for each in self._queue if unwanted(each)]
        if taken:
            self._queue = deque(each for each in self._queue if not unwanted(each))
        return taken

    def take_back(self) -> list[Letter]:
        """Take back what a connection that has ended did not bring to the broker, in order."""
        self._forget_sent()
        lost = []
        for letter in self._under_way:
            if letter.is_sent():
                self._note_taken(letter.message)
            else:
                lost.append(letter)
        self._under_way.clear()
        self._under_way_bytes = 0
        return lost

    def _forget_sent(self) -> None:
        while self._under_way and self._under_way[0].is_sent():
            message = self._under_way.popleft().message
            self._under_way_bytes -= len(message.payload)
            self._note_taken(message)

    def _note_taken(self, message: Outbound) -> None:
        if message.qos > 0 and len(message.payload) > self.taken_bytes:
            self.taken_bytes = len(message.payload)
