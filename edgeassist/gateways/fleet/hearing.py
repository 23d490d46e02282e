"""What comes to a box on its fleet's topics, but for requests of clients."""

from __future__ import annotations

import time
from collections.abc import Callable

from edgeassist.fleet.boxes import Boxes
from edgeassist.gateways.fleet.arrival import Arrival
from edgeassist.gateways.fleet.calls import Calls
from edgeassist.gateways.fleet.emptying import Emptying
from edgeassist.gateways.fleet.held import HeldRequests
from edgeassist.gateways.fleet.links import LeavableRoute, OwnLink
from edgeassist.gateways.fleet.offers import Offers
from edgeassist.gateways.fleet.orientation import Orientation
from edgeassist.gateways.fleet.presence import Identity, Presence
from edgeassist.gateways.fleet.taking import Taking
from edgeassist.gateways.fleet.telling import Telling
from edgeassist.protocol.fleet import BoxCondition, BoxState, parse_box
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.protocol.topics import FleetTopics


class Hearing:
    """Hears the other boxes, and what is called to all.

    Args:
        topics: The fleet's.
        identity: Who this box is.
        link: The connection.
        held: What this box answers for.
        boxes: The others.
        arrival: Is told of what the broker keeps of this box itself.
        orientation: Whether requests are acted on.
        taking: Takes what is handed over.
        emptying: Looks whether something stands in this box's session.
        calls: Carries out commands.
        offers: Takes the room of others.
        telling: Knows which requests others have.
        presence: Says how this box is, where somebody says otherwise.
        on_change: Called where something may be due.
        clock: Seconds of the monotonic clock.
    """

    def __init__(
        self,
        topics: FleetTopics,
        identity: Identity,
        link: OwnLink,
        *,
        held: HeldRequests,
        boxes: Boxes,
        arrival: Arrival,
        orientation: Orientation,
        taking: Taking,
        emptying: Emptying,
        calls: Calls,
        offers: Offers,
        telling: Telling,
        presence: Presence,
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._identity = identity
        self._link = link
        self._held = held
        self._boxes = boxes
        self._arrival = arrival
        self._orientation = orientation
        self._taking = taking
        self._emptying = emptying
        self._calls = calls
        self._offers = offers
        self._telling = telling
        self._presence = presence
        self._on_change = on_change
        self._clock = clock
        self._hands: LeavableRoute | None = None

    def start(self) -> None:
        """Say what is listened to."""
        topics, own = self._topics, self._identity.device
        self._hands = self._link.subscribe(
            Subscription(topics.hand(own), qos=1, held=True), self._orientation.waiting(self._hear_handed)
        )
        # At QoS 0: they overtake requests that wait for their acknowledgement.
        self._link.subscribe(Subscription(topics.room(own), qos=0), self._offers.hear)
        self._link.subscribe(Subscription(topics.box("+"), qos=0), self._hear_box)
        self._link.subscribe(Subscription(topics.has("+"), qos=0, patient=True), self._telling.hear)
        self._link.subscribe(Subscription(topics.tell(own), qos=0, patient=True), self._hear_told)
        for each in topics.call_filters:
            self._link.subscribe(Subscription(each, qos=0), self._calls.hear)

    def leave(self) -> None:
        """Have nothing handed over any more; what comes all the same is still heard."""
        if self._hands is not None:
            self._hands.leave()

    def _hear_box(self, message: Inbound) -> None:
        device = message.topic.rpartition("/")[2]
        state = parse_box(message.payload)
        if device == self._identity.device:
            self._hear_own(state, retained=message.retained)
            return
        if state is None or state.device != device:
            if self._boxes.find(device) is not None:
                self._telling.again(self._held)
            self._boxes.forget(device)
            return
        before = self._boxes.find(device)
        new = before is None or before.state.boot_id != state.boot_id
        turned = before is None or before.state.state is not state.state
        if new or turned:
            self._telling.again(self._held)
        self._boxes.hear(state, self._clock(), retained=message.retained)
        self._offers.heard_from(device)
        # In a large fleet, most that is heard is how many run elsewhere.
        if new or turned or (state.movable and self._offers.open):
            self._on_change()

    def _hear_own(self, state: BoxState | None, *, retained: bool) -> None:
        """Hear what the broker keeps, or somebody says, of this very box."""
        ours = state is not None and state.boot_id == self._identity.boot_id
        if ours and state is not None and state.state is not BoxCondition.OFFLINE:
            self._arrival.orient()
        elif ours and state is not None and state.adopter is not None:
            self._arrival.adopted()
            self._presence.contradicted()
        elif not retained:
            self._presence.contradicted()
            self._on_change()

    def _hear_told(self, message: Inbound) -> None:
        self._telling.pass_on(message)
        self._on_change()

    def _hear_handed(self, message: Inbound) -> None:
        if self._emptying.hear(message.payload) or self._calls.hear_followed(message.payload):
            message.acknowledge()
            return
        self._offers.heard_from(self._taking.hear_handed(message))
        self._on_change()
