"""What a member of a fleet needs of connections of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound, Subscription


@dataclass(frozen=True, slots=True)
class Session:
    """A session at the broker, and how to connect to it.

    Attributes:
        client_id: Whose it is.
        expiry_s: How long it outlives a connection.
        receive_maximum: How many messages may be unacknowledged.
        will: What the broker says when the connection breaks.
    """

    client_id: str
    expiry_s: int
    receive_maximum: int | None = None
    will: Outbound | None = None


class LeavableRoute(Protocol):
    """A subscription that can be left without deafness for what stands in the session."""

    def leave(self) -> None:
        """Unsubscribe, now and on each connection; what comes all the same is still heard."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class OwnLink(Link, Protocol):
    """`broker.Broker`, seen from who begins and ends it."""

    @property
    def resumed(self) -> bool:
        """Whether the broker had kept the session when the last connection began."""
        ...

    def start(self) -> None:
        """Begin to connect, and do so again whenever the connection ends."""
        ...

    async def stop(self, timeout_s: float = ..., *, end_session: bool = ...) -> None:
        """Disconnect.

        Args:
            timeout_s: How long that may take.
            end_session: Whether the session ends with it; MQTT 3.1.1 keeps it, without what was left.
        """
        ...

    async def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has all that was published; False if that takes longer."""
        ...

    def subscribe(self, subscription: Subscription, handler: Callable[[Inbound], None]) -> LeavableRoute:
        """Listen (`Link.subscribe`)."""
        ...


class Connect(Protocol):
    """Makes a connection, and does not begin it."""

    def __call__(
        self, session: Session, *, on_up: Callable[[], None], on_down: Callable[[str], None]
    ) -> OwnLink:
        """Return it.

        Args:
            session: Whose it is.
            on_up: Called on each connect, once what is subscribed to is granted.
            on_down: Called with the reason when a connection has ended, or could not be made.
        """
        ...
