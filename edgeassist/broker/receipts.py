"""Messages that came at QoS 1 or 2 and that the broker has no acknowledgement for yet. Sans-I/O.

A message that is not acknowledged comes again on the session's next connection, so that an acknowledgement
says: its fate is safe. It is due when its handlers have returned, and everybody who holds it has let it go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

# Sends the acknowledgement of a packet id that came at this QoS.
Send = Callable[[int, int], object]


@dataclass(slots=True, eq=False)
class Receipt:
    """One message's; it is due when as many have let it go as hold it.

    Attributes:
        packet: Its packet id.
        qos: At which it came.
        holders: How many its acknowledgement waits for: whoever delivers it, and who holds it.
    """

    packet: int
    qos: int
    _due: Callable[[Receipt], None]
    holders: int = 1

    def hold(self) -> Callable[[], None]:
        """Let one more hold it; return what lets it go, which may be called more than once."""
        self.holders += 1
        held = True

        def let_go() -> None:
            nonlocal held
            if held:
                held = False
                self.let_go()

        return let_go

    def let_go(self) -> None:
        """Let it go: once for whoever delivers it."""
        self.holders -= 1
        if self.holders == 0:
            self._due(self)


@dataclass(slots=True)
class Receipts:
    """Those of one connection; once that has ended, nothing is sent for them.

    Args:
        send: Sends an acknowledgement.
        ordered: Whether acknowledgements go out in the order in which the messages came (MQTT 5, section
            4.6), or each when it is due, which brokers take too.
    """

    send: Send
    ordered: bool = True
    _waiting: deque[Receipt] = field(default_factory=deque)
    _open: int = 0
    _ended: bool = False

    def __len__(self) -> int:
        """The number of messages that are not acknowledged."""
        return self._open

    def arrived(self, packet: int, qos: int) -> Receipt:
        """Note a message; whoever delivers it lets it go in the end."""
        receipt = Receipt(packet, qos, self._send_first if self.ordered else self._send)
        self._open += 1
        if self.ordered:
            self._waiting.append(receipt)
        return receipt

    def ended(self) -> None:
        """Forget all: the connection has ended, and what was not acknowledged comes again on the next."""
        self._ended = True
        self._waiting.clear()
        self._open = 0

    def _send_first(self, _receipt: Receipt) -> None:
        while self._waiting and self._waiting[0].holders == 0:
            self._send(self._waiting.popleft())

    def _send(self, receipt: Receipt) -> None:
        if not self._ended:
            self._open -= 1
            self.send(receipt.packet, receipt.qos)
