"""What the daemon asks of a gateway: the hooks, all of them optional."""

from __future__ import annotations


class Gateway:
    """A way in, a way out, or both. To add one: one file here, one line in `daemon/app`."""

    def start(self) -> None:
        """Begin, before the broker is connected: subscribe to topics, open doors."""

    def connected(self) -> None:
        """Act on a new connection to the broker; gateways are told in the order of `daemon/app`."""

    async def run(self) -> None:
        """Do what takes time of its own; what it raises ends the daemon."""

    def stopping(self) -> None:
        """Say that the daemon is about to stop: it refuses requests, and running answers may still end."""

    def close(self) -> None:
        """Say the last word: the device goes offline."""
