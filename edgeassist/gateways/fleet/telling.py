"""What boxes tell each other of requests that they have begun to answer.

In a small fleet each box tells all. In a large one that would be as many messages for each request as there
are boxes; there each tells one, the same for all, and that one tells all, some of many boxes in one message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.known import Known
from edgeassist.gateways.fleet.held import Held, Phase
from edgeassist.gateways.fleet.presence import LEAST_ALONE_S
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.topics import FleetTopics

# Where more others than this take requests, one tells for all; and how often it does.
MOST_DIRECT = 8
FOR_ALL_S = 0.2


class Telling:
    """Tells the others, and hears them.

    Args:
        topics: The fleet's.
        device: This one's name.
        link: The connection for the fleet.
        known: Which requests other boxes have.
        boxes: The others.
        takes: Whether this box takes requests.
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
        takes: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._device = device
        self._link = link
        self._known = known
        self._boxes = boxes
        self._takes = takes
        self._clock = clock
        self._told_at = -math.inf

    def tell(self) -> float | None:
        """Tell others what this box has begun to answer; return in how many seconds that is due."""
        known, now = self._known, self._clock()
        if not (known.untold and self._link.connected):
            return None
        # Nobody passes on what was passed on, so that it can't go round where boxes see each other otherwise.
        to = None if known.passes_on else self._teller()
        left = self._told_at + (FOR_ALL_S if known.passes_on else LEAST_ALONE_S) - now
        if left > 0:
            return left
        self._told_at = now
        payload = known.tell(self._device)
        if to is not None:
            self._link.publish(Outbound(self._topics.tell(to), payload))
        elif self._boxes.online:
            self._link.publish(Outbound(self._topics.has(self._device), payload))
        return None

    def _teller(self) -> str | None:
        """Return which other box tells for all; None: this one tells for itself."""
        online = self._boxes.online
        if len(online) <= MOST_DIRECT:
            return None
        first = min(online)
        return None if self._takes() and self._device < first else first

    def again(self, held: Iterable[Held]) -> None:
        """Tell of all that is answered here: a box that has just come knows of nothing.

        And what was told to a box that is gone may not have been passed on.
        """
        for each in held:
            if each.asked is not None and each.phase is Phase.HERE:
                self._known.begun(each.caller.name or "", each.asked.id)

    def hear(self, message: Inbound) -> None:
        """Note what another box has begun to answer."""
        device = message.topic.rpartition("/")[2]
        if device != self._device and not message.retained:
            self._known.hear(message.payload, device, self._clock())

    def pass_on(self, message: Inbound) -> None:
        """Note what another box has begun to answer, to tell all others."""
        if not message.retained:
            self._known.pass_on(message.payload, self._clock())
