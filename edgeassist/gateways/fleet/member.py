"""A box as the member of a fleet: it takes requests, drains, stops, and adopts what a dead one leaves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from pydantic import JsonValue

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.known import Known
from edgeassist.fleet.load import Load
from edgeassist.gateways.fleet.answering import Answering
from edgeassist.gateways.fleet.arrival import Arrival
from edgeassist.gateways.fleet.calls import Calls
from edgeassist.gateways.fleet.emptying import Emptying
from edgeassist.gateways.fleet.hearing import Hearing
from edgeassist.gateways.fleet.heir import Heir
from edgeassist.gateways.fleet.held import HeldRequests
from edgeassist.gateways.fleet.joining import Joining
from edgeassist.gateways.fleet.leaving import say_farewell
from edgeassist.gateways.fleet.links import Connect, Session
from edgeassist.gateways.fleet.offers import Offers
from edgeassist.gateways.fleet.options import FleetOptions
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
from edgeassist.protocol.topics import FleetTopics
from edgeassist.serving.requests import Requests

_TICK_S = 1.0


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
        self._arrival = Arrival(
            self._link,
            held=self._held,
            answering=self._answering,
            passing=self._passing,
            sharing=self._sharing,
            repeats=self._repeats,
            presence=self._presence,
            orientation=self._orientation,
            joining=self._joining,
            turn=self._turn,
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
            way_of=self._passing.way_by,
        )
        self._hearing = Hearing(
            topics,
            identity,
            self._link,
            held=self._held,
            boxes=self._boxes,
            arrival=self._arrival,
            orientation=self._orientation,
            taking=self._taking,
            emptying=self._emptying,
            calls=self._calls,
            offers=self._offers,
            telling=self._telling,
            presence=self._presence,
            on_change=self.changed,
            clock=clock,
        )
        self._changed = asyncio.Event()

    # --- the daemon's hooks --------------------------------------------------------------------------------

    def start(self) -> None:
        """Say what is listened to: what stands in the session is heard before it is subscribed to anew."""
        self._joining.start()
        self._hearing.start()
        self._sharing.start()

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
        await say_farewell(
            self._link,
            self._boxes,
            sharing=self._sharing,
            heir=self._heir,
            emptying=self._emptying,
            hearing=self._hearing,
            presence=self._presence,
        )

    # --- what is due ---------------------------------------------------------------------------------------

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

    # --- the connection, which is made before what it is told to --------------------------------------------

    def _up(self) -> None:
        self._arrival.up()

    def _down(self, reason: str) -> None:
        self._arrival.down(reason)
