"""The way of a fleet's request into one box: it comes, and stays or is handed on, until its fate is safe.

A message is acknowledged when the end of its answer is with the broker, or when it was handed to another box
and that is. Whatever happens to this box before, the broker still has it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edgeassist.errors import BusyError, InvalidRequestError
from edgeassist.fleet.envelope import open_envelope
from edgeassist.fleet.routing import Search
from edgeassist.gateways.fleet.answering import Answering
from edgeassist.gateways.fleet.held import Held, HeldRequests, caller_name
from edgeassist.gateways.fleet.passing import Passing
from edgeassist.gateways.mqtt.asking import AskingOptions
from edgeassist.gateways.mqtt.intake import Refused, Taken, fingerprint_of, take_in
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.topics import DecideTopic, FleetTopics, PromptTopic
from edgeassist.serving.caller import Caller

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request as it comes: from a client, or from another box."""

    message: Inbound
    hops: int = 0
    search: Search = Search.NONE
    left_s: float | None = None
    id: str | None = None
    sender: str | None = None
    again: bool = False


class Taking:
    """Takes the fleet's requests.

    Args:
        topics: The fleet's.
        options: Returns how requests are read, as on this device's own topics.
        held: What this box answers for.
        answering: Has those that stay.
        passing: Hands on the others.
        most: How many are held of those that come at QoS 0; of the others the broker keeps count.
        clock: Seconds of the monotonic clock.
    """

    def __init__(
        self,
        topics: FleetTopics,
        options: Callable[[], AskingOptions],
        *,
        held: HeldRequests,
        answering: Answering,
        passing: Passing,
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._options = options
        self._held = held
        self._answering = answering
        self._passing = passing
        self._most = most
        self._clock = clock

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
            _Arrival(
                inner,
                hops=envelope.hops,
                search=envelope.search,
                left_s=envelope.left_s,
                id=envelope.id,
                sender=envelope.sender,
                again=envelope.again,
            )
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
        if arrival.id is not None and arrival.sender == self._passing.device:
            key = Caller(caller_name(topic.client), fingerprint).key(arrival.id)
            if self._passing.secures(key, message):
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
            # Somebody had it before, who is not here to tell what came of it: this device's last run, or a
            # box that is gone.
            again=arrival.again or message.redelivered,
            since=self._clock(),
            delivered_at=self._held.connection,
        )
        if isinstance(taken, Taken) and not message.qos and len(self._held) >= self._most:
            full = f"this box holds {self._most} requests, the most that it may (fleet.receive_maximum)"
            taken = Refused(BusyError(full), taken.request.id, taken.reply_to, taken.request.metadata)
        if isinstance(taken, Refused):
            self._held.add(held)
            self._answering.refuse(held, taken.request_id, taken.error, taken.metadata)
            return
        if self._joins(held):
            return
        self._held.add(held)
        handing = self._passing.way_of(held)
        if handing is not None:
            self._passing.hand(held, handing)
        else:
            self._answering.serve(held)

    def _is_known(self, message: Inbound, fingerprint: bytes) -> bool:
        """Whether the broker brings again what we have, or had; it is acknowledged as that is, or was.

        What we have has a packet id that is in use, so that it is no other message; some brokers don't say
        that they deliver it again.
        """
        if not message.qos:
            return False
        delivery = (message.packet_id, fingerprint)
        if (held := self._held.delivered_again(delivery)) is not None:
            held.receipts.append(message.acknowledge)
            held.delivered_at = self._held.connection
            return True
        if message.redelivered and self._held.was_settled(delivery):
            message.acknowledge()
            return True
        return False

    def _joins(self, held: Held) -> bool:
        """Whether it is the repeat of a request that is here; they are acknowledged together."""
        if held.asked is None:
            return False
        first = self._held.find(held.caller.key(held.asked.id))
        if first is None or first.caller.fingerprint != held.caller.fingerprint:
            return False
        log.info("request %s came again while it is being answered", held.asked.id)
        first.receipts += held.receipts
        return True
