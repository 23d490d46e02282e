"""Where messages wait until it is known what to do with them; the broker has those of QoS 1 meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeassist.protocol.packets import Inbound

log = logging.getLogger(__name__)

Hear = Callable[[Inbound], object]


class Lobby:
    """Messages, in the order in which they came.

    Args:
        most: How many may wait at QoS 0, of which no broker keeps count; what exceeds it is dropped.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[tuple[Hear, Inbound]] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def wait(self, hear: Hear, message: Inbound) -> None:
        """Let one wait for `release`, which has it heard."""
        if not message.qos and len(self._waiting) >= self._most:
            log.warning("dropped a message of QoS 0 on %s: %d wait already", message.topic, self._most)
            return
        self._waiting.append((hear, message))

    def release(self) -> None:
        """Have all heard."""
        waiting, self._waiting = self._waiting, []
        for hear, message in waiting:
            hear(message)

    def clear(self) -> None:
        """Forget all, as the connection has ended: the broker brings them again."""
        self._waiting.clear()
