"""What a gateway needs of the connection to the broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edgeassist.protocol.packets import Inbound, Outbound, Subscription


class Route(Protocol):
    """A subscription and who hears it."""

    def close(self) -> None:
        """Stop listening."""
        ...


class Link(Protocol):
    """`broker.Broker`, seen from a gateway."""

    @property
    def connected(self) -> bool:
        """Whether messages go out now; anything said without a connection goes out late."""
        ...

    @property
    def protocol(self) -> str:
        """The version of MQTT that is spoken: `5` or `3.1.1`."""
        ...

    @property
    def congested(self) -> bool:
        """Whether streams should pause because too much is unsent."""
        ...

    def publish(self, message: Outbound) -> bool:
        """Send, or queue for the next connection at QoS 1; False where the message was dropped.

        What the broker does not take for its size gives way to what is `shorter`. What became of it is told
        to its `on_settled`, also where it was dropped.
        """
        ...

    def subscribe(self, subscription: Subscription, handler: Callable[[Inbound], None]) -> Route:
        """Listen from now on, also over new connections, until the route is closed.

        A message is acknowledged when its handlers have returned, or, where the subscription is `held`, when
        they say so.
        """
        ...
