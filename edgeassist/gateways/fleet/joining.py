"""Whether a box is subscribed to its fleet's requests: it is where it takes them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeassist.fleet.boxes import Boxes
from edgeassist.gateways.fleet.answering import Answering
from edgeassist.gateways.fleet.links import LeavableRoute, OwnLink
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
        answering: Whether this daemon is about to end.
        boxes: The others.
        hear: Takes requests.

    Attributes:
        joined: Whether requests are subscribed to.
    """

    def __init__(
        self,
        topics: FleetTopics,
        link: OwnLink,
        *,
        standing: Standing,
        answering: Answering,
        boxes: Boxes,
        hear: Callable[[Inbound], None],
    ) -> None:
        self._topics = topics
        self._link = link
        self._standing = standing
        self._answering = answering
        self._boxes = boxes
        self._hear = hear
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

    def look(self, *, oriented: bool) -> None:
        """Subscribe to the fleet's requests, or leave them, as this box is.

        Args:
            oriented: Whether it knows the others.
        """
        self._standing.look()
        takes = self._standing.takes
        if takes and oriented and not self.joined:
            old, self._shared = self._shared, self._listen(passive=False)
            for each in old:
                each.close()
            self.joined = True
            log.info("takes requests of the fleet %s", self._topics.group)
        elif not takes and self.joined and not self._stays:
            for each in self._shared:
                each.leave()
            self.joined = False
            reason = self._standing.condition()[1]
            log.info("takes no requests of the fleet %s: %s", self._topics.group, reason)

    @property
    def _stays(self) -> bool:
        """Whether the broker is to keep for our next start what comes meanwhile: nobody else takes it."""
        return self._answering.ending and not self._boxes.online

    def _listen(self, *, passive: bool) -> list[LeavableRoute]:
        return [
            self._link.subscribe(
                Subscription(each, qos=1, optional=True, held=True, passive=passive), self._hear
            )
            for each in self._topics.shared_filters
        ]
