"""The beginning of a connection: requests wait until this box knows what the broker keeps of the others."""

from __future__ import annotations

from collections.abc import Callable

from edgeassist.gateways.fleet.lobby import Hear, Lobby
from edgeassist.protocol.packets import Inbound


class Orientation:
    """Keeps requests that come early.

    Args:
        most: How many of them at QoS 0.

    Attributes:
        oriented: Whether requests are acted on.
    """

    def __init__(self, most: int) -> None:
        self._early = Lobby(most)
        self.oriented = False

    def waiting(self, hear: Hear) -> Callable[[Inbound], None]:
        """Return what hears messages, and acts on them by `hear` once this box is oriented."""

        def wait(message: Inbound) -> None:
            if self.oriented:
                hear(message)
            else:
                self._early.wait(hear, message)

        return wait

    def reach(self) -> None:
        """Act on what has waited, and at once on what comes from now on."""
        self.oriented = True
        self._early.release()

    def lose(self) -> None:
        """Note that the connection has ended."""
        self.oriented = False
        self._early.clear()
