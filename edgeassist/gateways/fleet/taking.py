"""The way of a fleet's request through one box: it comes, stays or is handed on, and its fate gets safe.

A message is acknowledged when the end of its answer is with the broker, or when it was handed to another box
and that is. Whatever happens to this box before, the broker still has it.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from edgeassist.errors import BusyError, InvalidRequestError
from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.envelope import Envelope, open_envelope
from edgeassist.fleet.known import Known
from edgeassist.fleet.load import Load
from edgeassist.fleet.routing import MAX_HOPS, MOST_HOPS, Handing, Search, route
from edgeassist.gateways.fleet.held import Held, HeldRequests, Phase
from edgeassist.gateways.link import Link
from edgeassist.gateways.mqtt.asking import AskingOptions
from edgeassist.gateways.mqtt.intake import Refused, Taken, fingerprint_of, take_in
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.gateways.mqtt.replies import Replies, Told
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.topics import DecideTopic, FleetTopics, PromptTopic
from edgeassist.serving.caller import Caller
from edgeassist.serving.requests import Requests
from edgeassist.serving.sink import OnSettled

log = logging.getLogger(__name__)

# What was handed over stays so long before another box may have it: rooms are spoken of a little late, and a
# request that they send round and round is accepted each time.
REST_S = 0.5
# So many that were handed on are remembered, for cancels that come too late for them here.
HANDED = 256
# What a fleet's callers are called by: no name on a device's own topics has a slash.
CALLERS = "fleet/"


def caller_name(client: str | None) -> str:
    """Return what a client of the fleet is called among the callers of this device."""
    return f"{CALLERS}{client or ''}"


@dataclass(frozen=True, slots=True)
class Handed:
    """A request that was handed on: which, whose, to which device, and when."""

    id: str
    caller: str
    to: str
    at: float


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request as it comes: from a client, or from another box."""

    message: Inbound
    hops: int = 0
    search: Search = Search.NONE
    left_s: float | None = None
    id: str | None = None
    sender: str | None = None


class Taking:
    """Takes the fleet's requests.

    Args:
        topics: The fleet's.
        device: This one's name.
        options: Returns how requests are read and answered, as on this device's own topics.
        link: The connection for the fleet.
        requests: Where they are answered.
        boxes: The others.
        repeats: Says ends again that a broken connection may have lost.
        load: What this box has to do.
        takes: Whether this box takes new requests.
        most: How many are held of those that come at QoS 0; of the others the broker keeps count.
        on_change: Called when another number of requests is held.
        clock: Seconds of the monotonic clock.

    Attributes:
        held: What it answers for.
        handed: What it handed on last.
        known: Which requests other boxes have.
        connection: Counts our connections.
        ending: Whether this daemon is about to end, so that nothing begins here any more.
    """

    def __init__(
        self,
        topics: FleetTopics,
        device: str,
        options: Callable[[], AskingOptions],
        link: Link,
        *,
        requests: Requests,
        boxes: Boxes,
        repeats: Repeats,
        load: Callable[[], Load],
        takes: Callable[[], bool],
        most: int,
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._device = device
        self._options = options
        self._link = link
        self._requests = requests
        self._boxes = boxes
        self._clock = clock
        self._repeats = repeats
        self._load = load
        self._takes = takes
        self._most = most
        self._on_change = on_change
        self.held = HeldRequests()
        self.handed: deque[Handed] = deque(maxlen=HANDED)
        self.known = Known()
        self.ending = False
        self.connection = 0

    # --- requests come -------------------------------------------------------------------------------------

    def hear_request(self, message: Inbound) -> None:
        """Take a request of a client's."""
        if message.retained:
            log.info("ignored a retained message on %s: a request must not be retained", message.topic)
            message.acknowledge()
            return
        self._take(_Arrival(message))

    def hear_handed(self, message: Inbound) -> str | None:
        """Take a request that another box hands over; return the device that did."""
        if message.retained:
            log.info("ignored a retained message on %s: a request must not be retained", message.topic)
            message.acknowledge()
            return None
        try:
            envelope = open_envelope(message.payload)
        except InvalidRequestError as error:
            log.warning("ignored a message on %s: %s", message.topic, error.message)
            message.acknowledge()
            return None
        # Its delivery is that of the message around it.
        inner = replace(
            message,
            topic=envelope.message.topic,
            payload=envelope.message.payload,
            response_topic=envelope.message.response_topic,
            correlation=envelope.message.correlation,
            expiry_s=None,
        )
        self._take(
            _Arrival(inner, envelope.hops, envelope.search, envelope.left_s, envelope.id, envelope.sender)
        )
        return envelope.sender

    def _take(self, arrival: _Arrival) -> None:
        message = arrival.message
        topic = self._topics.parse(message.topic)
        if not isinstance(topic, PromptTopic | DecideTopic):
            log.debug("ignored a message on %s", message.topic)
            message.acknowledge()
            return
        fingerprint = fingerprint_of(message)
        if self._is_known(message, fingerprint):
            return
        left_s = arrival.left_s if message.expiry_s is None else float(message.expiry_s)
        caller = Caller(caller_name(topic.client), fingerprint, left_s, metered=False)
        taken = take_in(message, topic, self._topics, self._options().rules, name=arrival.id)
        held = Held(
            message,
            caller,
            taken.request if isinstance(taken, Taken) else None,
            taken.reply_to,
            topic.client,
            *(arrival.hops, arrival.search, left_s, [message.acknowledge]),
            sender=arrival.sender,
            since=self._clock(),
            delivered_at=self.connection,
        )
        if isinstance(taken, Taken) and not message.qos and len(self.held) >= self._most:
            full = f"this box holds {self._most} requests, the most that it may (fleet.receive_maximum)"
            taken = Refused(BusyError(full), taken.request.id, taken.reply_to, taken.request.metadata)
        if isinstance(taken, Refused):
            self.held.add(held)
            sink = self._sink(held, taken.request_id)
            self._requests.refuse(taken.request_id, caller, sink, taken.error, metadata=taken.metadata)
            return
        if self._joins(held):
            return
        self.held.add(held)
        handing = self._way_of(held)
        if handing is not None:
            self._hand(held, handing)
        else:
            self._serve(held)

    def _is_known(self, message: Inbound, fingerprint: bytes) -> bool:
        """Whether the broker brings again what we have, or had; it is acknowledged as that is, or was.

        What we have has a packet id that is in use, so that it is no other message; some brokers don't say
        that they deliver it again.
        """
        if not message.qos:
            return False
        delivery = (message.packet_id, fingerprint)
        if (held := self.held.delivered_again(delivery)) is not None:
            held.receipts.append(message.acknowledge)
            held.delivered_at = self.connection
            return True
        if message.redelivered and self.held.was_settled(delivery):
            message.acknowledge()
            return True
        return False

    def _joins(self, held: Held) -> bool:
        """Whether it is the repeat of a request that is here; they are acknowledged together."""
        if held.asked is None:
            return False
        first = self.held.find(held.caller.key(held.asked.id))
        if first is None or first.caller.fingerprint != held.caller.fingerprint:
            return False
        log.info("request %s came again while it is being answered", held.asked.id)
        first.receipts += held.receipts
        return True

    def _way_of(self, held: Held) -> Handing | None:
        if (has := self._who_has(held)) is not None:
            return Handing(has, held.search)
        session = held.session
        known = session is not None and self._requests.knows(session)
        return route(
            held.errand(known=known),
            self._boxes,
            takes=self._takes(),
            room=self._load().room,
            pick=random.choice,
        )

    def _who_has(self, held: Held) -> str | None:
        """Return which other box has, or had, this very request; not the one that has handed it to us."""
        if held.asked is None or held.hops >= MAX_HOPS:
            return None
        has = self.known.find(held.caller.name or "", held.asked.id, self._clock())
        return has if has in self._boxes.online and has != held.sender else None

    # --- they are answered here ----------------------------------------------------------------------------

    def _serve(self, held: Held) -> None:
        """Have it answered here; a daemon that ends leaves it to the broker."""
        held.phase = Phase.HERE
        if self.ending:
            self.held.forget(held)
            return
        if held.asked is not None:
            self.known.begun(held.caller.name or "", held.asked.id)
            self._requests.submit(held.asked, held.caller, self._sink(held, held.asked.id))
        self._on_change()

    def _sink(self, held: Held, request_id: str) -> Replies:
        return Replies(
            request_id,
            held.reply_to,
            self._options().replies,
            cancel=self._topics.cancel(held.client or None),
            link=self._link,
            asked_at=self._repeats.asked(held.reply_to.topic, request_id),
            on_end=partial(self._said_end, held),
        )

    def _said_end(
        self, held: Held, replies: Replies, end: Done | Failed, on_heard: OnSettled | None = None
    ) -> Told:
        """Note an end that goes out (`replies.OnEnd`)."""
        note = self._repeats.said(replies, end, on_heard)

        def settled(delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled` is called
            if note.settled is not None:
                note.settled(delivered)
            self._ended(held, delivered)

        return Told(settled, note.unheard)

    def _ended(self, held: Held, delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled` calls it
        """Note that the broker has the end, or that it is lost.

        What the broker refuses would be refused again. What was lost with the connection is answered anew:
        the broker brings the request again.
        """
        if held.phase is Phase.LEFT:
            return
        if delivered or self._link.connected:
            self.held.settle(held)
        else:
            self.held.forget(held)
        self._on_change()

    # --- they are handed on --------------------------------------------------------------------------------

    @property
    def movable(self) -> int:
        """How many wait here that another box may have."""
        return sum(self._is_movable(held) for held in self.held)

    def _is_movable(self, held: Held) -> bool:
        rested = not held.hops or self._clock() - held.since > REST_S
        return held.session is None and rested and held.hops < MOST_HOPS and self._waits(held)

    def _waits(self, held: Held) -> bool:
        asked = held.asked
        return (
            asked is not None
            and held.phase is Phase.HERE
            and self._requests.waits(asked.id, held.caller.name or "")
        )

    def share(self, device: str, most: int) -> int:
        """Hand as many that wait to a box that has room for them; return how many."""
        count = 0
        for held in self.held:
            if count < most and self._is_movable(held):
                count += self._move(held, Handing(device))
        return count

    def hand_over_waiting(self) -> None:
        """Hand all that waits to others, where there are any; what is left waits on."""
        for held in self.held:
            if self._waits(held) and (handing := self._way_of(held)) is not None:
                self._move(held, handing)

    def leave(self, *, running: bool) -> None:
        """Take back what waits, for the end of this daemon: others have it, or the broker keeps it.

        Args:
            running: Whether what runs is taken back too; it begins anew elsewhere, or here after the start.
        """
        self.ending = True
        for held in self.held:
            if held.asked is None or held.phase is not Phase.HERE:
                continue
            handing = self._way_of(held)
            if handing is not None:
                self._move(held, handing, running=running)
            elif self._withdraw(held, running=running):
                self.held.forget(held)

    def drop_adopted(self) -> None:
        """Answer no longer for what another box took over while we were away.

        That is what the broker did not bring again.
        """
        for held in self.held:
            if held.delivered_at != self.connection and held.phase is not Phase.LEFT:
                self._withdraw(held, running=True)
                self.held.forget(held)
        self._on_change()

    def come_back(self) -> None:
        """Begin conversations anew, or find who has them: others took our requests for a while."""
        self._boxes.came_back()
        self._requests.forget(CALLERS)

    def _withdraw(self, held: Held, *, running: bool = False) -> bool:
        if held.asked is None:
            return False
        left_s = self._requests.withdraw(held.asked.id, held.caller.name or "", running=running)
        if left_s is None:
            return False
        held.left_s = left_s
        return True

    def _move(self, held: Held, handing: Handing, *, running: bool = False) -> bool:
        """Hand on what was to be answered here; False where it can't be taken back."""
        if not self._withdraw(held, running=running):
            return False
        self._hand(held, handing)
        return True

    def _hand(self, held: Held, handing: Handing) -> None:
        held.phase = Phase.LEAVING
        self._boxes.took(handing.to)
        envelope = Envelope(
            self._device,
            held.message,
            held.hops + 1,
            held.left_s,
            handing.search,
            None if held.asked is None else held.asked.id,
        )
        if held.asked is not None:
            self.handed.append(Handed(held.asked.id, held.caller.name or "", handing.to, self._clock()))
        self._link.publish(
            Outbound(
                self._topics.hand(handing.to),
                envelope.encode(),
                qos=1,
                on_settled=partial(self._handed, held),
                on_unheard=partial(self._found_nobody, held, handing.to),
            )
        )
        self._on_change()

    def _found_nobody(self, held: Held, device: str) -> None:
        """Note that a box is gone, though it has not been said: its session has ended."""
        held.unheard = True
        self._boxes.forget(device)

    def _handed(self, held: Held, delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled` calls it
        """Note that the broker has it for another box; what it does not take is answered here."""
        if held.phase is not Phase.LEAVING:
            return
        if delivered and not held.unheard:
            self.held.settle(held)
            self._on_change()
        else:
            held.unheard = False
            self._serve(held)
