"""A box as the member of a fleet: it takes requests, drains, stops, and adopts what a dead one leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pydantic import JsonValue

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.envelope import marker, token_of
from edgeassist.fleet.load import Load
from edgeassist.fleet.routing import Errand, Handing, route
from edgeassist.gateways.fleet.calls import Calls
from edgeassist.gateways.fleet.heir import Heir
from edgeassist.gateways.fleet.links import Connect, LeavableRoute, Session
from edgeassist.gateways.fleet.lobby import Hear, Lobby
from edgeassist.gateways.fleet.offers import Offers
from edgeassist.gateways.fleet.presence import Identity, Presence, least_s
from edgeassist.gateways.fleet.sharing import ShareCheck
from edgeassist.gateways.fleet.taking import Taking
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.mqtt.asking import AskingOptions
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.protocol.fleet import BoxCondition, parse_box
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import FleetTopics
from edgeassist.serving.requests import Requests

log = logging.getLogger(__name__)

# So many messages are on their way to a client that speaks MQTT 3.1.1, in which it can't say how many.
WINDOW = 20
# How long a box may have no engine, such as one that crashed, before it leaves its requests to others.
PATIENCE_S = 5.0
# How long a box waits for what the broker keeps of the others, before it takes requests.
ORIENTATION_S = 3.0
DENIAL_S = 1.0
# How long the end of a member may take: what waits is handed over, and that acknowledged.
SETTLE_S = 5.0
FLUSH_S = 2.0
QUIET_S = 0.2
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
        self._taking = Taking(
            topics,
            identity.device,
            asking,
            self._link,
            requests=requests,
            boxes=self._boxes,
            repeats=self._repeats,
            load=self._present_load,
            takes=lambda: self._takes,
            most=options.receive_maximum,
            on_change=self.changed,
            clock=clock,
        )
        self._calls = Calls(
            topics, self._link, requests, self._taking, takes=lambda: self._takes, clock=clock
        )
        self._presence = Presence(
            topics,
            identity,
            self._link,
            now=self._said_condition,
            load=self._present_load,
            movable=lambda: self._taking.movable,
            clock=clock,
        )
        self._sharing = ShareCheck(topics, identity.device, self._link, on_change=self.changed)
        device = identity.device
        self._offers = Offers(topics, device, self._link, boxes=self._boxes, taking=self._taking, clock=clock)
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
        self._shared: list[LeavableRoute] = []
        self._hands: LeavableRoute | None = None
        self._joined = False
        self._missed = False
        self._drained = False
        self._unusable = False
        self._well_at: float | None = None
        self._oriented = False
        self._adopted = False
        self._early = Lobby(options.receive_maximum)
        self._kept = Lobby(options.receive_maximum)
        self._told_at = -math.inf
        self._contradicted = False
        self._contradicted_at = -math.inf
        self._marker = ""
        self._marked = asyncio.Event()

    # --- the daemon's hooks --------------------------------------------------------------------------------

    def start(self) -> None:
        """Say what is listened to: what stands in the session is heard before it is subscribed to anew."""
        own = self._identity.device
        self._shared = self._listen_to_requests(passive=True)
        self._hands = self._link.subscribe(
            Subscription(self._topics.hand(own), qos=1, held=True), self._when_oriented(self._hear_handed)
        )
        # At QoS 0: they overtake requests that wait for their acknowledgement.
        self._link.subscribe(Subscription(self._topics.room(own), qos=0), self._offers.hear)
        self._link.subscribe(Subscription(self._topics.box("+"), qos=0), self._hear_box)
        self._link.subscribe(Subscription(self._topics.has("+"), qos=0), self._hear_has)
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
        self._unusable = True
        self._look()
        self._taking.hand_over_waiting()

    def words(self) -> str:
        """Return whether this box takes requests of its fleet, and why not."""
        if not self._link.connected:
            return "no connection to the broker for it"
        condition, reason = self._said_condition()
        return condition.value if reason is None else f"{condition.value}: {reason}"

    def drain(self, *, on: bool) -> dict[str, JsonValue]:
        """Take nothing new, hand over what waits and finish what runs; or take requests again."""
        self._drained = on
        self._turn()
        load = self._load()
        condition, _ = self._condition()
        return {"drain": on, "state": condition.value, "running": load.running, "waiting": load.waiting}

    def retreat(self, *, running: bool) -> None:
        """Begin to stop: others get what waits, and in the end what runs (`Gateway.retreat`)."""
        self._taking.ending = True
        self._turn()
        self._taking.leave(running=running)

    async def settle(self) -> None:
        """Say the last word, and disconnect."""
        self._sharing.close()
        await self._heir.close()
        empty = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                empty = await self._emptied()
        if empty and self._hands is not None:
            self._hands.leave()
        self._presence.close(empty=empty)
        await self._link.flush(FLUSH_S)
        await self._link.stop(end_session=empty)

    async def _emptied(self) -> bool:
        """Wait until nothing stands in the session; False where it is kept, since nobody else is there."""
        if not self._boxes.online or not self._link.connected:
            return False
        self._marked.clear()
        self._marker = secrets.token_hex(8)
        here = self._topics.hand(self._identity.device)
        self._link.publish(Outbound(here, marker(self._marker), qos=1))
        await self._marked.wait()
        while True:
            while len(self._taking.held):
                await asyncio.sleep(0.02)
            await asyncio.sleep(QUIET_S)
            if not len(self._taking.held):
                return True

    # --- how this box is -----------------------------------------------------------------------------------

    @property
    def _takes(self) -> bool:
        return self._condition()[0] is BoxCondition.ONLINE

    def _condition(self) -> tuple[BoxCondition, str | None]:
        if self._taking.ending:
            return BoxCondition.DRAINING, "it stops"
        if self._drained:
            return BoxCondition.DRAINING, "it was told to"
        if self._sharing.problem is not None:
            return BoxCondition.DRAINING, self._sharing.problem
        problem = self._load().problem
        if problem is None:
            return BoxCondition.ONLINE, None
        if self._unusable or self._well_at is None or self._clock() - self._well_at > PATIENCE_S:
            return BoxCondition.DRAINING, problem
        return BoxCondition.ONLINE, None

    def _said_condition(self) -> tuple[BoxCondition, str | None]:
        """Return what is said: `online` goes to the broker behind the subscriptions, never before them."""
        condition, reason = self._condition()
        if condition is BoxCondition.ONLINE and not self._joined:
            return BoxCondition.DRAINING, "it joins the fleet"
        return condition, reason

    def _present_load(self) -> Load:
        """Return what it has to do; no more room than it answers for requests at once."""
        load = self._load()
        most = self._options.receive_maximum if self._link.protocol == "5" else WINDOW
        full = len(self._taking.held) >= most
        return replace(load, slots=min(load.slots, load.running)) if full else load

    def _way_of(self, errand: Errand) -> Handing | None:
        """Return which other box gets a request of one that is gone; None: this one."""
        room = self._present_load().room
        return route(errand, self._boxes, takes=self._takes, room=room, pick=random.choice)

    def _turn(self) -> float | None:
        """Do what is due; return in how many seconds something is again."""
        before = self._joined
        self._look()
        if before and not self._joined:
            self._taking.hand_over_waiting()
        self._contradict()
        if self._takes and self._oriented and self._link.connected:
            self._offers.make(self._present_load().room)
            self._heir.look(self._options.adopt_s, self._clock())
        waits = [each for each in (self._tell(), self._presence.say(len(self._boxes))) if each is not None]
        return min(waits, default=None)

    def _tell(self) -> float | None:
        """Tell others what this box has begun to answer; return in how many seconds that is due."""
        known, now = self._taking.known, self._clock()
        if not (known.untold and self._link.connected):
            return None
        left = self._told_at + least_s(len(self._boxes)) - now
        if left > 0:
            return left
        self._told_at = now
        ours = self._identity.device
        payload = known.tell(ours)
        if self._boxes.online:
            self._link.publish(Outbound(self._topics.has(ours), payload))
        return None

    def _hear_has(self, message: Inbound) -> None:
        device = message.topic.rpartition("/")[2]
        if device != self._identity.device and not message.retained:
            self._taking.known.hear(message.payload, device, self._clock())

    def _look(self) -> None:
        """Subscribe to the fleet's requests, or leave them, as this box is."""
        if self._load().problem is None:
            self._well_at, self._unusable = self._clock(), False
        if self._takes and self._missed:
            # Conversations have gone on elsewhere meanwhile.
            self._missed = False
            self._taking.come_back()
        # Where nobody else takes requests, the broker is to keep them, for whoever does next.
        alone = not self._boxes.online
        wanted = self._takes or (alone and not self._taking.ending)
        if wanted and self._oriented and not self._joined:
            old, self._shared = self._shared, self._listen_to_requests(passive=False)
            for each in old:
                each.close()
            self._joined = True
            log.info("listens to requests of the fleet %s", self._topics.group)
        elif self._joined and not self._takes and not alone:
            for each in self._shared:
                each.leave()
            self._joined, self._missed = False, True
            log.info("takes no requests of the fleet %s: %s", self._topics.group, self._condition()[1])
        if len(self._kept) and (self._takes or not alone):
            self._kept.release()

    def _listen_to_requests(self, *, passive: bool) -> list[LeavableRoute]:
        hear = self._when_oriented(self._hear_request)
        return [
            self._link.subscribe(Subscription(each, qos=1, optional=True, held=True, passive=passive), hear)
            for each in self._topics.shared_filters
        ]

    # --- the connection ------------------------------------------------------------------------------------

    def _up(self) -> None:
        if not self._link.resumed:
            self._taking.held.session_lost()
        self._adopted = False
        self._sharing.connected()
        self._repeats.connected()
        self._presence.again()
        self._turn()
        asyncio.get_running_loop().call_later(ORIENTATION_S, self._orient)

    def _down(self, reason: str) -> None:
        log.warning("the connection for the fleet: %s", reason)
        self._repeats.disconnected()
        self._oriented = False
        self._taking.connection += 1
        self._early.clear()
        self._kept.clear()

    def _orient(self) -> None:
        """Act on requests from now on: what the broker keeps of the others has come, as far as it does."""
        if self._oriented or not self._link.connected:
            return
        self._oriented = True
        self._early.release()
        if self._adopted:
            self._taking.drop_adopted()
            self._taking.come_back()
        self._turn()

    def _when_oriented(self, hear: Hear) -> Callable[[Inbound], None]:
        def wait(message: Inbound) -> None:
            if self._oriented:
                hear(message)
            else:
                self._early.wait(hear, message)

        return wait

    def _hear_request(self, message: Inbound) -> None:
        """Take a request, or leave it at the broker: nobody takes any, and this box was told not to."""
        if self._drained and not self._boxes.online and not self._taking.ending:
            self._kept.wait(self._taking.hear_request, message)
        else:
            self._taking.hear_request(message)

    # --- what others say -----------------------------------------------------------------------------------

    def _hear_box(self, message: Inbound) -> None:
        device = message.topic.rpartition("/")[2]
        state = parse_box(message.payload)
        if device == self._identity.device:
            ours = state is not None and state.boot_id == self._identity.boot_id
            if ours and state is not None and state.state is not BoxCondition.OFFLINE:
                self._orient()
            elif ours and state is not None and state.adopter is not None:
                self._adopted = self._contradicted = True
            elif not message.retained:
                self._contradicted = True
                self.changed()
            return
        if state is None or state.device != device:
            self._boxes.forget(device)
            return
        self._boxes.hear(state, self._clock(), retained=message.retained)
        self._offers.heard_from(device)
        self.changed()

    def _contradict(self) -> None:
        """Say again how this box is, where somebody said otherwise: a will that came late, or another box.

        Not more often than each second: that other one may do the same.
        """
        now = self._clock()
        if self._contradicted and now - self._contradicted_at > DENIAL_S:
            self._contradicted, self._contradicted_at = False, now
            self._presence.again()

    def _hear_handed(self, message: Inbound) -> None:
        if (token := token_of(message.payload)) is not None:
            message.acknowledge()
            if token == self._marker:
                self._marked.set()
            return
        if self._calls.hear_followed(message.payload):
            message.acknowledge()
            return
        self._offers.heard_from(self._taking.hear_handed(message))
        self.changed()
