"""What boxes tell each other of requests that they have begun to answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.known import Known
from edgeassist.gateways.fleet.held import Held, Phase
from edgeassist.gateways.fleet.presence import least_s
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.topics import FleetTopics


class Telling:
    """Tells the others, and hears them.

    Args:
        topics: The fleet's.
        device: This one's name.
        link: The connection for the fleet.
        known: Which requests other boxes have.
        boxes: The others.
        clock: Seconds of the monotonic clock.
    """

    def __init__(
        self,
        topics: FleetTopics,
        device: str,
        link: Link,
        *,
        known: Known,
        boxes: Boxes,
        clock: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._device = device
        self._link = link
        self._known = known
        self._boxes = boxes
        self._clock = clock
        self._told_at = -math.inf

    def tell(self) -> float | None:
        """Tell others what this box has begun to answer; return in how many seconds that is due."""
        known, now = self._known, self._clock()
        if not (known.untold and self._link.connected):
            return None
        left = self._told_at + least_s(len(self._boxes)) - now
        if left > 0:
            return left
        self._told_at = now
        payload = known.tell(self._device)
        if self._boxes.online:
            self._link.publish(Outbound(self._topics.has(self._device), payload))
        return None

    def again(self, held: Iterable[Held]) -> None:
        """Tell of all that is answered here: a box that was just started knows of nothing."""
        for each in held:
            if each.asked is not None and each.phase is Phase.HERE:
                self._known.begun(each.caller.name or "", each.asked.id)

    def hear(self, message: Inbound) -> None:
        """Note what another box has begun to answer."""
        device = message.topic.rpartition("/")[2]
        if device != self._device and not message.retained:
            self._known.hear(message.payload, device, self._clock())
