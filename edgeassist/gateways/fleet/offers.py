"""Room that a box has, offered to another where requests wait: nobody is given more than it starts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from edgeassist.fleet.boxes import Boxes
from edgeassist.gateways.fleet.passing import Passing
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.topics import FleetTopics

# How long a box that was offered room may take, before another one is.
OFFER_S = 0.5
# More room than a box has; an offer of more is none.
MOST_ROOM = 1_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A box has room for so many that wait elsewhere."""

    device: str
    room: int

    def encode(self) -> bytes:
        """Return it as a payload."""
        return json.dumps({"device": self.device, "room": self.room}).encode()


def parse_offer(payload: bytes) -> Offer | None:
    """Return what was offered; None where the payload is no offer."""
    try:
        match json.loads(payload):
            case {"device": str(device), "room": int(room)} if 0 < room <= MOST_ROOM:
                return Offer(device, room)
    except (ValueError, RecursionError):
        pass
    return None


class Offers:
    """Offers this box's room, and takes that of others.

    Args:
        topics: The fleet's.
        device: This one's name.
        link: Takes the offers.
        boxes: The others.
        passing: Hands on what waits here.
        clock: Seconds of the monotonic clock.
    """

    def __init__(
        self,
        topics: FleetTopics,
        device: str,
        link: Link,
        *,
        boxes: Boxes,
        passing: Passing,
        clock: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._device = device
        self._link = link
        self._boxes = boxes
        self._passing = passing
        self._clock = clock
        self._asked: str | None = None
        self._asked_at = 0.0
        self._room = 0

    @property
    def open(self) -> bool:
        """Whether this box had room the last time, and no other box is to answer an offer of it."""
        waits = self._asked is not None and self._clock() - self._asked_at < OFFER_S
        return self._room > 0 and not waits

    def make(self, room: int) -> None:
        """Offer room to a box where requests wait, more often to one where more do; one box at a time."""
        self._room = room
        if not self.open or not (loaded := self._boxes.loaded):
            return
        (device,) = random.choices(list(loaded), list(loaded.values()))  # noqa: S311 - no secret
        self._asked, self._asked_at = device, self._clock()
        self._link.publish(Outbound(self._topics.room(device), Offer(self._device, room).encode()))

    def heard_from(self, device: str | None) -> None:
        """Note that a box has spoken, or handed something over: the next may be asked."""
        if device is not None and device == self._asked:
            self._asked = None

    def hear(self, message: Inbound) -> None:
        """Hand what waits to a box that has room for it."""
        offer = None if message.retained else parse_offer(message.payload)
        if offer is not None and offer.device in self._boxes.online:
            self._boxes.has_room(offer.device, offer.room)
            self._passing.share(offer.device, offer.room)
