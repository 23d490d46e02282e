"""The beginning of a connection: requests wait until this box knows what the broker keeps of the others."""

from __future__ import annotations

from collections.abc import Callable

from edgeassist.protocol.packets import Inbound


class Orientation:
    """Keeps requests that come early.

    Attributes:
        oriented: Whether requests are acted on.
    """

    def __init__(self) -> None:
        self._early: list[Callable[[], object]] = []
        self.oriented = False

    def waiting(self, hear: Callable[[Inbound], object]) -> Callable[[Inbound], None]:
        """Return what hears messages, and acts on them by `hear` once this box is oriented."""

        def wait(message: Inbound) -> None:
            if self.oriented:
                hear(message)
            else:
                self._early.append(lambda: hear(message))

        return wait

    def reach(self) -> None:
        """Act on what has waited, and at once on what comes from now on."""
        self.oriented = True
        early, self._early = self._early, []
        for act in early:
            act()

    def lose(self) -> None:
        """Note that the connection has ended: the broker brings again what waited."""
        self.oriented = False
        self._early.clear()
