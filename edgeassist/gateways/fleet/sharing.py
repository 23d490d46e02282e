"""Finds out whether the broker delivers what comes on shared subscriptions; some grant them, and never do."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import FleetTopics

log = logging.getLogger(__name__)

# How long the broker may take to bring a message back.
WAIT_S = 5.0
_WORDS = (
    "the broker does not deliver what comes on shared subscriptions, so requests to the fleet don't come: "
    "take a broker that does, such as Mosquitto, or ask this device on its own topics"
)


class ShareCheck:
    """Sends itself a message over a shared subscription that nobody else has, on each connection.

    Args:
        topics: The fleet's.
        device: This one's name.
        link: The connection.
        on_change: Called when it is found out.

    Attributes:
        problem: What is wrong, for a person; None while nothing is known to be.
    """

    def __init__(
        self, topics: FleetTopics, device: str, link: Link, *, on_change: Callable[[], None]
    ) -> None:
        self._topics = topics
        self._device = device
        self._link = link
        self._on_change = on_change
        self._token = b""
        self._timer: asyncio.TimerHandle | None = None
        self.problem: str | None = None

    def start(self) -> None:
        """Listen."""
        own = Subscription(self._topics.own_share(self._device), qos=0, optional=True)
        self._link.subscribe(own, self._hear)

    def connected(self) -> None:
        """Send it."""
        self.close()
        self._token = secrets.token_hex(8).encode()
        self._link.publish(Outbound(self._topics.check(self._device), self._token, qos=1))
        self._timer = asyncio.get_running_loop().call_later(WAIT_S, self._miss, self._token)

    def close(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hear(self, message: Inbound) -> None:
        if message.payload == self._token:
            self.close()
            if self.problem is not None:
                self.problem = None
                self._on_change()

    def _miss(self, token: bytes) -> None:
        if token == self._token and self._link.connected:
            if self.problem is None:
                log.error("%s", _WORDS)
            self.problem = _WORDS
            self._on_change()
