"""Sees when it is this box's turn to take over from one that is gone, and does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from edgeassist.fleet.adoption import due
from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.envelope import Envelope
from edgeassist.fleet.routing import Errand, Handing
from edgeassist.gateways.fleet.adopting import Adoption
from edgeassist.gateways.fleet.links import Connect, Session
from edgeassist.gateways.fleet.presence import Identity, state_message
from edgeassist.gateways.link import Link
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.topics import FleetTopics

log = logging.getLogger(__name__)

# How soon an adoption is tried again that came to nothing.
AGAIN_S = 10.0


class Heir:
    """Adopts boxes that are gone, one at a time.

    Args:
        topics: The fleet's.
        identity: Who this box is.
        link: This box's connection.
        session: This box's; a dead one's is connected to likewise.
        boxes: The others.
        connect: Makes connections.
        way_of: Returns which other box gets a request; None: this one.
    """

    def __init__(
        self,
        topics: FleetTopics,
        identity: Identity,
        link: Link,
        *,
        session: Session,
        boxes: Boxes,
        connect: Connect,
        way_of: Callable[[Errand], Handing | None],
    ) -> None:
        self._topics = topics
        self._identity = identity
        self._link = link
        self._session = session
        self._boxes = boxes
        self._connect = connect
        self._way_of = way_of
        self._adoption: asyncio.Task[None] | None = None
        self._again_at: dict[str, float] = {}

    def look(self, adopt_s: float, now: float) -> None:
        """Begin to take over, if it is our turn.

        Args:
            adopt_s: How long a box is away before it is adopted.
            now: In seconds of the clock that `boxes` goes by.
        """
        if self._adoption is not None and not self._adoption.done():
            return
        for device, at in due(self._boxes, adopt_s, session=self._identity.session).items():
            if now >= max(at, self._again_at.get(device, at)):
                self._again_at[device] = now + AGAIN_S
                self._adoption = asyncio.create_task(self._take_over(device), name=f"adopt-{device}")
                self._adoption.add_done_callback(_notice)
                return

    async def close(self) -> None:
        """Give up what is under way; another box takes its turn."""
        if self._adoption is not None:
            self._adoption.cancel()
            await asyncio.wait([self._adoption])

    async def _take_over(self, device: str) -> None:
        box = self._boxes.find(device)
        if box is None:
            return
        log.warning("the box %s is gone: what stands in its session is taken over", device)
        ours = self._identity.device
        self._link.publish(state_message(self._topics, box.state.model_copy(update={"adopter": ours})))
        session = Session(box.state.session, self._session.expiry_s, self._session.receive_maximum)
        adoption = Adoption(self._topics, device, session, ours, connect=self._connect, hand_on=self._hand_on)
        emptied = await adoption.run()
        there = self._boxes.find(device)
        back = there is None or there.state.state is not BoxCondition.OFFLINE
        how = "it is back" if back else "done" if emptied else "it is tried again"
        log.info("requests taken over from the box %s: %d; %s", device, adoption.count, how)
        if emptied and not back:
            since = round(time.time(), 3)
            last = box.state.model_copy(update={"adopter": ours, "empty": True, "since": since})
            self._link.publish(state_message(self._topics, last))

    def _hand_on(self, envelope: Envelope, handed: Callable[[bool], None]) -> None:
        """Hand a request of a box that is gone to one that lives, which may be this one."""
        handing = self._way_of(Errand(envelope.hops))
        to = self._identity.device if handing is None else handing.to
        self._boxes.took(to)
        heard = True

        def found_nobody() -> None:
            nonlocal heard
            heard = False
            self._boxes.forget(to)

        message = Outbound(
            self._topics.hand(to),
            envelope.encode(),
            qos=1,
            on_settled=lambda delivered: handed(delivered and heard),
            on_unheard=found_nobody,
        )
        self._link.publish(message)


def _notice(task: asyncio.Task[None]) -> None:
    """Log what an adoption failed with; it is tried again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("taking over from another box failed", exc_info=error)
