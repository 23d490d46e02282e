"""Whether a box is subscribed to its fleet's requests: it is where it takes them, or nobody else does."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeassist.fleet.boxes import Boxes
from edgeassist.gateways.fleet.answering import Answering
from edgeassist.gateways.fleet.links import LeavableRoute, OwnLink
from edgeassist.gateways.fleet.lobby import Lobby
from edgeassist.gateways.fleet.orientation import Orientation
from edgeassist.gateways.fleet.standing import Standing
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.protocol.topics import FleetTopics

log = logging.getLogger(__name__)


class Joining:
    """Joins the fleet, and leaves it.

    Args:
        topics: The fleet's.
        link: The connection for the fleet.
        standing: How this box stands.
        orientation: Whether it knows the others.
        answering: Whether this daemon is about to end.
        boxes: The others.
        hear: Takes requests.
        on_return: Called when this box takes requests again after others took them.
        most: How many may wait here at QoS 0.

    Attributes:
        joined: Whether requests are subscribed to.
    """

    def __init__(
        self,
        topics: FleetTopics,
        link: OwnLink,
        *,
        standing: Standing,
        orientation: Orientation,
        answering: Answering,
        boxes: Boxes,
        hear: Callable[[Inbound], None],
        on_return: Callable[[], None],
        most: int,
    ) -> None:
        self._topics = topics
        self._link = link
        self._standing = standing
        self._orientation = orientation
        self._answering = answering
        self._boxes = boxes
        self._hear = hear
        self._on_return = on_return
        self._missed = False
        self._kept = Lobby(most)
        self._shared: list[LeavableRoute] = []
        self.joined = False

    def start(self) -> None:
        """Listen to what stands in the session."""
        self._shared = self._listen(passive=True)

    def said(self) -> tuple[BoxCondition, str | None]:
        """Return what is said: `online` goes to the broker behind the subscriptions, never before them."""
        condition, reason = self._standing.condition()
        if condition is BoxCondition.ONLINE and not self.joined:
            return BoxCondition.DRAINING, "it joins the fleet"
        return condition, reason

    def look(self) -> None:
        """Subscribe to the fleet's requests, or leave them, as this box is."""
        self._standing.look()
        takes = self._standing.takes
        if takes and self._missed:
            # Conversations have gone on elsewhere meanwhile.
            self._missed = False
            self._on_return()
        # Where nobody else takes requests, the broker is to keep them, for whoever does next.
        alone = not self._boxes.online
        wanted = takes or (alone and not self._answering.ending)
        if wanted and self._orientation.oriented and not self.joined:
            old, self._shared = self._shared, self._listen(passive=False)
            for each in old:
                each.close()
            self.joined = True
            log.info("listens to requests of the fleet %s", self._topics.group)
        elif self.joined and not takes and not alone:
            for each in self._shared:
                each.leave()
            self.joined, self._missed = False, True
            reason = self._standing.condition()[1]
            log.info("takes no requests of the fleet %s: %s", self._topics.group, reason)
        if len(self._kept) and (takes or not alone):
            self._kept.release()

    def lose(self) -> None:
        """Note that the connection has ended."""
        self._kept.clear()

    def _take(self, message: Inbound) -> None:
        """Take a request, or leave it at the broker: nobody takes any, and this box was told not to."""
        if self._standing.drained and not self._boxes.online and not self._answering.ending:
            self._kept.wait(self._hear, message)
        else:
            self._hear(message)

    def _listen(self, *, passive: bool) -> list[LeavableRoute]:
        hear = self._orientation.waiting(self._take)
        return [
            self._link.subscribe(Subscription(each, qos=1, optional=True, held=True, passive=passive), hear)
            for each in self._topics.shared_filters
        ]
