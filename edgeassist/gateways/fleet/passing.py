"""The fleet's requests that this box passes on to others, which answer them."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.envelope import Envelope
from edgeassist.fleet.known import Known
from edgeassist.fleet.load import Load
from edgeassist.fleet.routing import MAX_HOPS, MOST_HOPS, Errand, Handing, route
from edgeassist.gateways.fleet.answering import Answering
from edgeassist.gateways.fleet.held import CALLERS, Held, HeldRequests, Phase
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.topics import FleetTopics
from edgeassist.serving.caller import Key
from edgeassist.serving.requests import Requests

# What was handed over stays so long before another box may have it: rooms are spoken of a little late, and a
# request that they send round and round is accepted each time.
REST_S = 0.5
# So many that were handed on are remembered, for cancels that come too late for them here.
HANDED = 256
# How long others may take to come back to a broker that has lost its sessions, before what they have is begun
# here as well; and how often it is looked whether they are back.
RETURN_S = 3.0
LOOK_AGAIN_S = 0.3


@dataclass(frozen=True, slots=True)
class Handed:
    """A request that was handed on: which, whose, to which device, and when."""

    id: str
    caller: str
    to: str
    at: float


class Passing:
    """Passes requests on.

    Args:
        topics: The fleet's.
        device: This one's name.
        link: The connection for the fleet.
        requests: Knows which conversations are known here.
        held: What this box answers for.
        known: Which requests other boxes have.
        answering: Has those that stay, or are not taken elsewhere.
        boxes: The others.
        load: What this box has to do.
        takes: Whether this box takes new requests.
        on_change: Called when another number of requests is held.
        clock: Seconds of the monotonic clock.

    Attributes:
        device: As given.
        handed: What it handed on last.
    """

    def __init__(
        self,
        topics: FleetTopics,
        device: str,
        link: Link,
        *,
        requests: Requests,
        held: HeldRequests,
        known: Known,
        answering: Answering,
        boxes: Boxes,
        load: Callable[[], Load],
        takes: Callable[[], bool],
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self.device = device
        self._link = link
        self._requests = requests
        self._held = held
        self._known = known
        self._answering = answering
        self._boxes = boxes
        self._load = load
        self._takes = takes
        self._on_change = on_change
        self._clock = clock
        self.handed: deque[Handed] = deque(maxlen=HANDED)
        self._others_return_by = -math.inf
        self._secured: dict[Key, Held] = {}

    def way_of(self, held: Held) -> Handing | None:
        """Return which other box gets it; None: this one."""
        if (has := self._who_has(held)) is not None:
            return Handing(has, held.search)
        session = held.session
        known = session is not None and self._requests.knows(session)
        return self.way_by(held.errand(known=known))

    def way_by(self, errand: Errand) -> Handing | None:
        """Return which other box gets a request of which only this is known; None: this one."""
        room = self._load().room
        return route(errand, self._boxes, takes=self._takes(), room=room, pick=random.choice)

    def _who_has(self, held: Held) -> str | None:
        """Return which other box has, or had, this very request; not the one that has handed it to us."""
        if held.asked is None or held.hops >= MAX_HOPS:
            return None
        has = self._known.find(held.caller.name or "", held.asked.id, self._clock())
        return has if has in self._boxes.online and has != held.sender else None

    @property
    def movable(self) -> int:
        """How many wait here that another box may have."""
        return sum(self._is_movable(held) for held in self._held.in_order)

    @property
    def moves(self) -> bool:
        """Whether there is one."""
        return any(self._is_movable(held) for held in self._held.in_order)

    def _is_movable(self, held: Held) -> bool:
        rested = not held.hops or self._clock() - held.since > REST_S
        return held.session is None and rested and held.hops < MOST_HOPS and self._answering.waits(held)

    def share(self, device: str, most: int) -> int:
        """Hand as many that wait to a box that has room for them; return how many."""
        count = 0
        for held in self._held:
            if count < most and self._is_movable(held):
                count += self._move(held, Handing(device))
        return count

    def hand_over_waiting(self) -> None:
        """Hand all that waits to others, where there are any; what is left waits on."""
        for held in self._held:
            if self._answering.waits(held) and (handing := self.way_of(held)) is not None:
                self._move(held, handing)

    def leave(self, *, running: bool) -> None:
        """Take back what waits, for the end of this daemon: others have it, or the broker keeps it.

        Args:
            running: Whether what runs is taken back too; it begins anew elsewhere, or here after the start.
        """
        self._answering.ending = True
        for held in self._held:
            if held.asked is None or held.phase is not Phase.HERE:
                continue
            handing = self.way_of(held)
            if handing is not None:
                self._move(held, handing, running=running)
            elif self._answering.withdraw(held, running=running):
                self._held.forget(held)

    def session_lost(self) -> None:
        """Have the broker keep again what is held here: it has forgotten it, and the others are not back."""
        self._others_return_by = self._clock() + RETURN_S
        self._secured.clear()
        for held in self._held:
            if (
                held.asked is not None
                and held.phase is not Phase.LEFT
                and not held.ended
                and held.message.qos
            ):
                self._secured[held.caller.key(held.asked.id)] = held
                self._publish(held, Handing(self.device), max(1, held.hops))

    def secures(self, key: Key, message: Inbound) -> bool:
        """Take what `session_lost` handed to this box: it is acknowledged with what it was made of."""
        held = self._secured.pop(key, None)
        if held is None:
            return False
        if held.settled:
            message.acknowledge()
        elif held.phase is not Phase.LEFT:  # else the broker keeps it, for whoever has the session next
            held.receipts.append(message.acknowledge)
            held.delivered_at = self._held.connection
        return True

    def come_back(self) -> None:
        """Begin conversations anew, or find who has them: others took our requests for a while."""
        self._boxes.came_back()
        self._requests.forget(CALLERS)

    def _move(self, held: Held, handing: Handing, *, running: bool = False) -> bool:
        """Hand on what was to be answered here; False where it can't be taken back."""
        if not self._answering.withdraw(held, running=running):
            return False
        self.hand(held, handing)
        return True

    def hand(self, held: Held, handing: Handing) -> None:
        """Hand it to another box."""
        held.phase = Phase.LEAVING
        self._boxes.took(handing.to)
        if held.asked is not None:
            self.handed.append(Handed(held.asked.id, held.caller.name or "", handing.to, self._clock()))
        self._publish(
            held,
            handing,
            held.hops + 1,
            on_settled=partial(self._handed, held, handing),
            on_unheard=partial(self._found_nobody, held, handing.to),
        )
        self._on_change()

    def _publish(self, held: Held, handing: Handing, hops: int, **called: Any) -> None:
        envelope = Envelope(
            self.device,
            held.message,
            hops,
            held.left_s,
            handing.search,
            None if held.asked is None else held.asked.id,
            held.again,
        )
        self._link.publish(Outbound(self._topics.hand(handing.to), envelope.encode(), qos=1, **called))

    def _found_nobody(self, held: Held, device: str) -> None:
        """Note that a box is gone, though it has not been said: its session has ended."""
        held.unheard = True
        if not self._may_return(held, device):
            self._boxes.forget(device)

    def _may_return(self, held: Held, device: str) -> bool:
        """Whether it has this very request, and may not be back yet at a broker that lost its sessions."""
        now = self._clock()
        has = held.asked and self._known.find(held.caller.name or "", held.asked.id, now)
        return now < self._others_return_by and has == device

    def _handed(self, held: Held, handing: Handing, delivered: bool) -> None:  # noqa: FBT001 - `Outbound.on_settled`
        """Note that the broker has it for another box; what it does not take is answered here."""
        if held.phase is not Phase.LEAVING:
            return
        unheard, held.unheard = held.unheard, False
        if delivered and not unheard:
            self._held.settle(held)
            self._on_change()
        elif unheard and self._may_return(held, handing.to):
            asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._hand_again, held, handing)
        else:
            self._answering.serve(held)

    def _hand_again(self, held: Held, handing: Handing) -> None:
        """Hand it to a box that may be back now."""
        if held.phase is Phase.LEAVING:
            self.hand(held, handing)
