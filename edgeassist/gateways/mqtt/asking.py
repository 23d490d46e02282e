"""What is asked over MQTT: messages in, requests to `serving`, and a sink that publishes their events."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace

from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.gateways.mqtt import origin
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.gateways.mqtt.intake import Refused, ReplyRules, Taken, fingerprint_of, take_in
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.gateways.mqtt.replies import Replies, ReplyOptions
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.protocol.topics import DecideTopic, PromptTopic, Topics
from edgeassist.serving.caller import Caller, Key
from edgeassist.serving.journal import Durable
from edgeassist.serving.recovery import Restored
from edgeassist.serving.requests import Requests

log = logging.getLogger(__name__)

# What a broker may deliver again: as much as it has sent without an acknowledgement, usually 20.
SEEN_PACKETS = 256


@dataclass(frozen=True, slots=True)
class AskingOptions:
    """What requests may ask of us, and how they are answered; a reload replaces it whole.

    Attributes:
        durable: Whether requests at QoS 1 outlive a restart.
    """

    rules: ReplyRules
    replies: ReplyOptions
    durable: bool = False


class Asking(Gateway):
    """Hears the topics for prompts and for decisions.

    Args:
        topics: This device's.
        options: A reload replaces them.
        broker: Brings the messages and takes the answers.
        requests: Where they go.
        repeats: Says ends again that may have been missed.
    """

    def __init__(
        self,
        topics: Topics,
        options: AskingOptions,
        broker: Link,
        requests: Requests,
        repeats: Repeats,
    ) -> None:
        self._topics = topics
        self._options = options
        self._broker = broker
        self._requests = requests
        self._repeats = repeats
        # What came, by packet id and fingerprint, and which request it was.
        self._seen: OrderedDict[tuple[int, bytes], Key] = OrderedDict()

    def start(self) -> None:
        """Listen."""
        for each in (*self._topics.prompt_filters, *self._topics.decide_filters):
            self._broker.subscribe(Subscription(each, qos=1, held=True), self.handle)

    @property
    def options(self) -> AskingOptions:
        """Those in force."""
        return self._options

    def apply(self, options: AskingOptions) -> None:
        """Go by other options from the next message on."""
        self._options = options

    def handle(self, message: Inbound) -> None:
        """Take a request; what is no request is refused where its answer would have gone.

        The message is acknowledged once the request's fate is safe (`Durable.on_safe`).
        """
        topic = self._topics.parse(message.topic)
        if not isinstance(topic, PromptTopic | DecideTopic):
            log.debug("ignored a message on %s", message.topic)
            message.acknowledge()
            return
        if message.retained:
            log.info("ignored a retained message on %s: a request must not be retained", message.topic)
            message.acknowledge()
            return
        fingerprint = fingerprint_of(message)
        seen = self._seen.get((message.packet_id, fingerprint)) if message.redelivered else None
        if seen is not None:
            log.info("ignored a request that the broker delivered again on %s", message.topic)
            self._requests.when_safe(seen, message.acknowledge)
            return
        expiry_s = None if message.expiry_s is None else float(message.expiry_s)
        caller = Caller(topic.client or None, fingerprint, expiry_s)
        durable = None
        if self._options.durable and message.qos > 0:
            durable = Durable(origin.to_bytes(message), message.acknowledge, again=message.redelivered)
        match take_in(message, topic, self._topics, self._options.rules):
            case Refused(error=error, request_id=name, metadata=metadata) as refused:
                self._note(message, caller.key(name), fingerprint)
                sink = self._sink(name, refused.reply_to, topic.client)
                self._requests.refuse(name, caller, sink, error, metadata=metadata, durable=durable)
            case Taken(request=request) as taken:
                self._note(message, caller.key(request.id), fingerprint)
                sink = self._sink(request.id, taken.reply_to, topic.client)
                if durable is not None and "id" not in request.model_fields_set:
                    durable = replace(durable, named=False)
                self._requests.submit(request, caller, sink, durable)
        if durable is None:
            message.acknowledge()

    def restore(self, kept: bytes, request_id: str) -> Restored | None:
        """Make a request of an earlier run again (`recovery.Restore`)."""
        try:
            message = origin.from_bytes(kept)
        except ValueError:
            return None
        topic = self._topics.parse(message.topic)
        if not isinstance(topic, PromptTopic | DecideTopic):
            return None
        fingerprint = fingerprint_of(message)
        caller = Caller(topic.client or None, fingerprint)
        # The broker may not have our acknowledgement.
        self._note(message, caller.key(request_id), fingerprint)
        match take_in(message, topic, self._topics, self._options.rules, name=request_id):
            case Refused() as refused:
                return Restored(refused.error, caller, self._sink(request_id, refused.reply_to, topic.client))
            case Taken() as taken:
                return Restored(taken.request, caller, self._sink(request_id, taken.reply_to, topic.client))

    def _note(self, message: Inbound, key: Key, fingerprint: bytes) -> None:
        self._seen[message.packet_id, fingerprint] = key
        if len(self._seen) > SEEN_PACKETS:
            self._seen.popitem(last=False)

    def _sink(self, request_id: str, to: ReplyTo, client: str | None) -> Replies:
        return Replies(
            request_id,
            to,
            self._options.replies,
            cancel=self._topics.cancel(client or None),
            link=self._broker,
            asked_at=self._repeats.asked(to.topic, request_id),
            on_end=self._repeats.said,
        )
