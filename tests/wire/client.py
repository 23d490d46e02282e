"""A client that publishes for a fixture and hears everything. Nothing of the daemon's own code is in it."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgeassist.sandbox import HOST
from tests.patience import PATIENCE_S
from tests.wire.fixtures import JsonObject, Received, Sent, compact
from tests.wire.masks import mask, mask_ids


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict[str, Any]

    def recorded(self, folder: str) -> Received:
        """Return it as a fixture has it; `folder` is where this run keeps its files."""
        text = self.payload.decode().replace(folder, "<folder>")
        document = parse(text)
        exact = document is not None and compact(document) == text
        others = {name: str(value) for name, value in self.properties.items() if name != "CorrelationData"}
        correlation = self.properties.get("CorrelationData")
        return Received(
            topic=mask_ids(self.topic),
            payload=cast("JsonObject", mask(document)) if exact else text,
            qos=self.qos,
            retain=self.retain,
            correlation=None if correlation is None else correlation.hex(),
            properties=others,
        )

    def document(self) -> dict[str, Any]:
        """Return the JSON object that it holds; empty where it holds none."""
        return parse(self.payload.decode()) or {}


def parse(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is; None where it is none."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


class WireClient:
    """Connected from its `with` on; hears all topics, with the flags that the publisher set (MQTT 5).

    Attributes:
        heard: All messages but its own, in order.
        news: Notified when there is another.
    """

    def __init__(self, port: int, protocol: Literal["5", "3.1.1"]) -> None:
        self.heard: list[Heard] = []
        self.news = threading.Condition()
        self._port = port
        self._version5 = protocol == "5"
        self._own: set[tuple[str, bytes]] = set()
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            protocol=MQTTProtocolVersion.MQTTv5 if self._version5 else MQTTProtocolVersion.MQTTv311,
        )
        self._client.on_socket_open = _without_delay
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take

    def __enter__(self) -> Self:
        """Connect and subscribe."""
        self._client.connect(HOST, self._port)
        self._client.loop_start()
        if not self._subscribed.wait(PATIENCE_S):
            raise TimeoutError("the broker does not let the test's client in")
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, message: Sent) -> None:
        """Publish, and wait until the broker has it."""
        data = message.data()
        self._own.add((message.topic, data))
        properties = None
        if self._version5:
            properties = Properties(PacketTypes.PUBLISH)
            if message.response_topic is not None:
                properties.ResponseTopic = message.response_topic
            if message.correlation is not None:
                properties.CorrelationData = bytes.fromhex(message.correlation)
            if message.expiry_s is not None:
                properties.MessageExpiryInterval = message.expiry_s
        sent = self._client.publish(message.topic, data, message.qos, message.retain, properties)
        sent.wait_for_publish(PATIENCE_S)

    def _subscribe(
        self, client: Client, _data: Any, _flags: ConnectFlags, _reason: ReasonCode, _props: Properties | None
    ) -> None:
        if self._version5:
            client.subscribe("#", options=SubscribeOptions(qos=2, retainAsPublished=True))
        else:
            client.subscribe("#", qos=2)

    def _take(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        if (message.topic, payload) in self._own:
            return
        properties = {} if message.properties is None else vars(message.properties)
        names = ("CorrelationData", "ResponseTopic", "MessageExpiryInterval", "ContentType", "UserProperty")
        said = {name: properties[name] for name in names if name in properties}
        with self.news:
            self.heard.append(Heard(message.topic, payload, message.qos, message.retain, said))
            self.news.notify_all()


def _without_delay(_client: Client, _data: Any, connection: Any) -> None:
    # Nagle's algorithm would hold each exchange up by 44 ms.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
