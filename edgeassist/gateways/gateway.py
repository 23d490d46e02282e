"""What the daemon asks of a gateway: the hooks, all of them optional."""

from __future__ import annotations

from edgeassist.protocol.events import Done, Failed
from edgeassist.serving.caller import Caller
from edgeassist.serving.request import AnyRequest


class Gateway:
    """A way in, a way out, or both. To add one: a module here, and a line in `daemon/app`."""

    def start(self) -> None:
        """Begin, before the broker is connected: subscribe. What has to be awaited belongs into `run`."""

    def connected(self) -> None:
        """Act on a new connection to the broker; gateways are told in the order of `daemon/app`."""

    def disconnected(self) -> None:
        """Note that there is no connection to the broker; told of each attempt that fails, too."""

    async def run(self) -> None:
        """Do what takes time of its own; what it raises ends the daemon."""

    def ended(self, caller: Caller, asked: AnyRequest | None, end: Done | Failed) -> None:
        """Note that a request has ended, of whichever gateway; `asked` is None if it could not be read."""

    def stopping(self) -> None:
        """Say that the daemon is about to stop: it refuses requests, and running answers may still end."""

    def close(self) -> None:
        """Say the last word: the device goes offline."""
