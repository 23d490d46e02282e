"""What is asked over MQTT: messages in, requests to `serving`, and a sink that publishes their events."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.gateways.mqtt.intake import Refused, ReplyRules, Taken, fingerprint_of, take_in
from edgeassist.gateways.mqtt.replies import Replies, ReplyOptions, ReplyTo
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.protocol.topics import DecideTopic, PromptTopic, Topics
from edgeassist.serving.request import Caller
from edgeassist.serving.requests import Requests

log = logging.getLogger(__name__)

SEEN_PACKETS = 64


@dataclass(frozen=True, slots=True)
class AskingOptions:
    """What requests may ask of us, and how they are answered; a reload replaces it whole."""

    rules: ReplyRules
    replies: ReplyOptions


class Asking(Gateway):
    """Hears the topics for prompts and for decisions.

    Args:
        topics: This device's.
        options: A reload replaces them.
        broker: Brings the messages and takes the answers.
        requests: Where they go.
    """

    def __init__(self, topics: Topics, options: AskingOptions, broker: Link, requests: Requests) -> None:
        self._topics = topics
        self._options = options
        self._broker = broker
        self._requests = requests
        self._seen: deque[tuple[int, bytes]] = deque(maxlen=SEEN_PACKETS)

    def start(self) -> None:
        """Listen."""
        for each in (*self._topics.prompt_filters, *self._topics.decide_filters):
            self._broker.subscribe(Subscription(each, qos=1), self.handle)

    @property
    def options(self) -> AskingOptions:
        """Those in force."""
        return self._options

    def apply(self, options: AskingOptions) -> None:
        """Go by other options from the next message on."""
        self._options = options

    def handle(self, message: Inbound) -> None:
        """Take a request; what is no request is refused where its answer would have gone."""
        topic = self._topics.parse(message.topic)
        if not isinstance(topic, PromptTopic | DecideTopic):
            log.debug("ignored a message on %s", message.topic)
            return
        if message.retained:
            log.info("ignored a retained message on %s: a request must not be retained", message.topic)
            return
        fingerprint = fingerprint_of(message)
        if message.redelivered and (message.packet_id, fingerprint) in self._seen:
            log.info("ignored a request that the broker delivered again on %s", message.topic)
            return
        self._seen.append((message.packet_id, fingerprint))
        caller = Caller(
            topic.client or None, fingerprint, None if message.expiry_s is None else float(message.expiry_s)
        )
        match take_in(message, topic, self._topics, self._options.rules):
            case Refused(error=error) as refused:
                sink = self._sink(refused.request_id, refused.reply_to, topic.client)
                self._requests.refuse(refused.request_id, caller, sink, error, metadata=refused.metadata)
            case Taken() as taken:
                sink = self._sink(taken.request.id, taken.reply_to, topic.client)
                self._requests.submit(taken.request, caller, sink)

    def _sink(self, request_id: str, to: ReplyTo, client: str | None) -> Replies:
        return Replies(
            request_id,
            to,
            self._options.replies,
            cancel=self._topics.cancel(client or None),
            link=self._broker,
        )
