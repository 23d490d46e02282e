"""A box as the member of a fleet: it takes requests, drains, stops, and adopts what a dead one leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pydantic import JsonValue

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.known import Known
from edgeassist.fleet.load import Load
from edgeassist.fleet.routing import Errand, Handing, route
from edgeassist.gateways.fleet.answering import Answering
from edgeassist.gateways.fleet.calls import Calls
from edgeassist.gateways.fleet.emptying import Emptying
from edgeassist.gateways.fleet.heir import Heir
from edgeassist.gateways.fleet.held import HeldRequests
from edgeassist.gateways.fleet.joining import Joining
from edgeassist.gateways.fleet.links import Connect, LeavableRoute, Session
from edgeassist.gateways.fleet.offers import Offers
from edgeassist.gateways.fleet.orientation import Orientation
from edgeassist.gateways.fleet.passing import Passing
from edgeassist.gateways.fleet.presence import Identity, Presence
from edgeassist.gateways.fleet.sharing import ShareCheck
from edgeassist.gateways.fleet.standing import Standing
from edgeassist.gateways.fleet.taking import Taking
from edgeassist.gateways.fleet.telling import Telling
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.mqtt.asking import AskingOptions
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.protocol.fleet import BoxCondition, parse_box
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.protocol.topics import FleetTopics
from edgeassist.serving.requests import Requests

log = logging.getLogger(__name__)

# How long a box waits for what the broker keeps of the others, before it takes requests.
ORIENTATION_S = 3.0
# How long the end of a member may take: what waits is handed over, and that acknowledged.
SETTLE_S = 5.0
FLUSH_S = 2.0
_TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """How a member behaves.

    Attributes:
        adopt_s: How long another box is gone before what stands in its session is taken over.
        session_expiry_s: How long the broker keeps our session without a connection.
        receive_maximum: How many requests this box answers for at once.
    """

    adopt_s: float
    session_expiry_s: int
    receive_maximum: int


class Member(Gateway):
    """The fleet, seen from one of its boxes.

    Args:
        topics: The fleet's.
        identity: Who this box is.
        options: How it behaves.
        asking: Returns how requests are read and answered.
        connect: Makes connections.
        requests: Where requests are answered.
        load: Returns what this box has to do.
        clock: Seconds of the monotonic clock.
    """

    def __init__(
        self,
        topics: FleetTopics,
        identity: Identity,
        options: FleetOptions,
        asking: Callable[[], AskingOptions],
        *,
        connect: Connect,
        requests: Requests,
        load: Callable[[], Load],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._identity = identity
        self._options = options
        self._load = load
        self._clock = clock
        self._boxes = Boxes(identity.device)
        session = Session(
            identity.session, options.session_expiry_s, options.receive_maximum, identity.will(topics)
        )
        self._link = connect(session, on_up=self._up, on_down=self._down)
        self._repeats = Repeats(self._link, clock)
        self._held = HeldRequests()
        self._known = Known()
        self._answering = Answering(
            topics,
            asking,
            self._link,
            requests=requests,
            held=self._held,
            known=self._known,
            repeats=self._repeats,
            on_change=self.changed,
        )
        device = identity.device
        self._sharing = ShareCheck(topics, device, self._link, on_change=self.changed)
        self._standing = Standing(
            load,
            self._link,
            receive_maximum=options.receive_maximum,
            held=self._held,
            answering=self._answering,
            sharing=self._sharing,
            clock=clock,
        )
        self._passing = Passing(
            topics,
            device,
            self._link,
            requests=requests,
            held=self._held,
            known=self._known,
            answering=self._answering,
            boxes=self._boxes,
            load=self._standing.load,
            takes=lambda: self._standing.takes,
            on_change=self.changed,
            clock=clock,
        )
        self._taking = Taking(
            topics,
            asking,
            held=self._held,
            answering=self._answering,
            passing=self._passing,
            most=options.receive_maximum,
            clock=clock,
        )
        self._orientation = Orientation(options.receive_maximum)
        self._joining = Joining(
            topics,
            self._link,
            standing=self._standing,
            orientation=self._orientation,
            answering=self._answering,
            boxes=self._boxes,
            hear=self._taking.hear_request,
            on_return=self._passing.come_back,
            most=options.receive_maximum,
        )
        self._calls = Calls(
            topics,
            self._link,
            requests,
            held=self._held,
            passing=self._passing,
            prefixes=lambda: asking().rules.prefixes,
            takes=lambda: self._standing.takes,
            clock=clock,
        )
        self._presence = Presence(
            topics,
            identity,
            self._link,
            now=self._joining.said,
            load=self._standing.load,
            movable=lambda: self._passing.movable,
            moves=lambda: self._passing.moves,
            clock=clock,
        )
        self._telling = Telling(
            topics,
            device,
            self._link,
            known=self._known,
            boxes=self._boxes,
            takes=lambda: self._standing.takes,
            clock=clock,
        )
        self._emptying = Emptying(topics.hand(device), self._link, held=self._held, boxes=self._boxes)
        self._offers = Offers(
            topics, device, self._link, boxes=self._boxes, passing=self._passing, clock=clock
        )
        self._heir = Heir(
            topics,
            identity,
            self._link,
            session=session,
            boxes=self._boxes,
            connect=connect,
            way_of=self._way_of,
        )
        self._changed = asyncio.Event()
        self._hands: LeavableRoute | None = None
        self._adopted = False

    # --- the daemon's hooks --------------------------------------------------------------------------------

    def start(self) -> None:
        """Say what is listened to: what stands in the session is heard before it is subscribed to anew."""
        own = self._identity.device
        self._joining.start()
        self._hands = self._link.subscribe(
            Subscription(self._topics.hand(own), qos=1, held=True),
            self._orientation.waiting(self._hear_handed),
        )
        # At QoS 0: they overtake requests that wait for their acknowledgement.
        self._link.subscribe(Subscription(self._topics.room(own), qos=0), self._offers.hear)
        self._link.subscribe(Subscription(self._topics.box("+"), qos=0), self._hear_box)
        self._link.subscribe(Subscription(self._topics.has("+"), qos=0, patient=True), self._telling.hear)
        self._link.subscribe(Subscription(self._topics.tell(own), qos=0, patient=True), self._hear_told)
        self._sharing.start()
        for each in self._topics.call_filters:
            self._link.subscribe(Subscription(each, qos=0), self._calls.hear)

    async def run(self) -> None:
        """Be a member, until cancelled; the daemon ends where this does."""
        self._link.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeats.run(), name="fleet-repeats")
            group.create_task(self._watch(), name="fleet")

    async def _watch(self) -> None:
        while True:
            left = self._turn()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S if left is None else min(left, _TICK_S)):
                    await self._changed.wait()
            self._changed.clear()

    def changed(self) -> None:
        """Look again at how this box is."""
        self._changed.set()

    def apply(self, adopt_s: float) -> None:
        """Go by another `FleetOptions.adopt_s`."""
        self._options = replace(self._options, adopt_s=adopt_s)
        self.changed()

    def unusable(self) -> None:
        """Hand over what waits: no model can be had here."""
        self._standing.unusable = True
        self._joining.look()
        self._passing.hand_over_waiting()

    def words(self) -> str:
        """Return whether this box takes requests of its fleet, and why not."""
        if not self._link.connected:
            return "no connection to the broker for it"
        condition, reason = self._joining.said()
        return condition.value if reason is None else f"{condition.value}: {reason}"

    def drain(self, *, on: bool) -> dict[str, JsonValue]:
        """Take nothing new, hand over what waits and finish what runs; or take requests again."""
        self._standing.drained = on
        self._turn()
        load = self._load()
        condition, _ = self._standing.condition()
        return {"drain": on, "state": condition.value, "running": load.running, "waiting": load.waiting}

    def retreat(self, *, running: bool) -> None:
        """Begin to stop: others get what waits, and in the end what runs (`Gateway.retreat`)."""
        self._answering.ending = True
        self._turn()
        self._passing.leave(running=running)

    async def settle(self) -> None:
        """Say the last word, and disconnect."""
        self._sharing.close()
        await self._heir.close()
        empty = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                empty = await self._emptying.done()
        # What a box that has not heard of it yet hands over would be lost in silence: another one adopts it.
        empty = empty and not self._boxes.blind
        if empty and self._hands is not None:
            self._hands.leave()
        self._presence.close(empty=empty)
        await self._link.flush(FLUSH_S)
        await self._link.stop(end_session=empty)

    # --- what is due ---------------------------------------------------------------------------------------

    def _way_of(self, errand: Errand) -> Handing | None:
        """Return which other box gets a request of one that is gone; None: this one."""
        room = self._standing.load().room
        return route(errand, self._boxes, takes=self._standing.takes, room=room, pick=random.choice)

    def _turn(self) -> float | None:
        """Do what is due; return in how many seconds something is again."""
        before = self._joining.joined
        self._joining.look()
        if before and not self._joining.joined:
            self._passing.hand_over_waiting()
        if self._standing.takes and self._orientation.oriented and self._link.connected:
            self._offers.make(self._standing.load().room)
            self._heir.look(self._options.adopt_s, self._clock())
        waits = (self._telling.tell(), self._presence.say(len(self._boxes)))
        return min((each for each in waits if each is not None), default=None)

    # --- the connection ------------------------------------------------------------------------------------

    def _up(self) -> None:
        if not self._link.resumed:
            self._held.session_lost()
            self._passing.session_lost()
        self._adopted = False
        self._sharing.connected()
        self._repeats.connected()
        self._presence.again()
        self._turn()
        asyncio.get_running_loop().call_later(ORIENTATION_S, self._orient)

    def _down(self, reason: str) -> None:
        log.warning("the connection for the fleet: %s", reason)
        self._repeats.disconnected()
        self._orientation.lose()
        self._joining.lose()
        self._held.connection += 1

    def _orient(self) -> None:
        """Act on requests from now on: what the broker keeps of the others has come, as far as it does."""
        if self._orientation.oriented or not self._link.connected:
            return
        self._orientation.reach()
        if self._adopted:
            self._answering.drop_adopted()
            self._passing.come_back()
        self._turn()

    # --- what others say -----------------------------------------------------------------------------------

    def _hear_box(self, message: Inbound) -> None:
        device = message.topic.rpartition("/")[2]
        state = parse_box(message.payload)
        if device == self._identity.device:
            ours = state is not None and state.boot_id == self._identity.boot_id
            if ours and state is not None and state.state is not BoxCondition.OFFLINE:
                self._orient()
            elif ours and state is not None and state.adopter is not None:
                self._adopted = True
                self._presence.contradicted()
            elif not message.retained:
                self._presence.contradicted()
                self.changed()
            return
        if state is None or state.device != device:
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
            self.changed()

    def _hear_told(self, message: Inbound) -> None:
        self._telling.pass_on(message)
        self.changed()

    def _hear_handed(self, message: Inbound) -> None:
        if self._emptying.hear(message.payload) or self._calls.hear_followed(message.payload):
            message.acknowledge()
            return
        self._offers.heard_from(self._taking.hear_handed(message))
        self.changed()
