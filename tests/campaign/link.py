"""A client's connection: paho over the event loop, as others have it. No code of the daemon's is in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeassist.sandbox import HOST
from tests.campaign.plan import Profile

SESSION_EXPIRY_S = 600


@dataclass(frozen=True, slots=True)
class Message:
    """What came: on which connection, and whether the broker says that it may have sent it before."""

    topic: str
    payload: bytes
    dup: bool
    retained: bool
    link: int


class Link:
    """Connects, and connects again, until it is stopped; its callbacks run in the event loop.

    Args:
        port: The broker's, on loopback.
        profile: What the client is like.
        filters: What it subscribes to, at QoS 1.
        on_up: It is connected, and its subscriptions hold.
        on_down: The connection is lost.
        on_message: Something came.
        on_acknowledged: The broker has what was published under this packet id.
        keepalive_s: As in MQTT.

    Attributes:
        number: Counts the connections.
        up: Whether it is connected.
    """

    def __init__(
        self,
        port: int,
        profile: Profile,
        filters: list[str],
        *,
        on_up: Callable[[], None],
        on_down: Callable[[], None],
        on_message: Callable[[Message], None],
        on_acknowledged: Callable[[int], None],
        keepalive_s: int,
    ) -> None:
        self._port = port
        self._profile = profile
        self._filters = filters
        self._on_up = on_up
        self._on_down = on_down
        self._on_message = on_message
        self._on_acknowledged = on_acknowledged
        self._keepalive_s = keepalive_s
        self._random = Random(profile.name)
        self._down = asyncio.Event()
        self._stopping = False
        self._client = self._make()
        self.number = 0
        self.up = False

    async def run(self) -> None:
        """Keep the connection until `stop`."""
        client = self._client
        pause_s, longest_s = self._profile.backoff
        while not self._stopping:
            self._down.clear()
            begun = self.number
            with contextlib.suppress(OSError):
                self._connect(client)
                await self._serve(client)
            if self.number != begun:
                pause_s = self._profile.backoff[0]
            if not self._stopping:
                await asyncio.sleep(pause_s * self._random.uniform(0.8, 1.2))
                pause_s = min(longest_s, pause_s * 2)

    async def stop(self) -> None:
        """Disconnect."""
        self._stopping = True
        self._client.disconnect()
        self._down.set()

    def publish(self, topic: str, payload: bytes, *, response: str | None = None) -> int:
        """Publish at QoS 1; return the packet id. Without a connection paho keeps it for the next.

        Args:
            topic: Where to.
            payload: What.
            response: MQTT 5's Response Topic; the Correlation Data are its last level.
        """
        properties = None
        if response is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = response
            properties.CorrelationData = response.rpartition("/")[2].encode()
        return int(self._client.publish(topic, payload, qos=1, properties=properties).mid)

    def _make(self) -> Client:
        five = self._profile.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"campaign-{self._profile.name}",
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            clean_session=None if five else self._profile.clean,
        )
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = lambda *_: self._subscribed()
        client.on_message = self._heard
        client.on_publish = lambda _client, _data, packet, *_: self._on_acknowledged(packet)
        client.on_socket_open = self._opened
        client.on_socket_close = self._closed
        client.on_socket_register_write = self._writing
        client.on_socket_unregister_write = self._written
        return client

    def _opened(self, client: Client, _data: object, sock: Any) -> None:
        asyncio.get_running_loop().add_reader(sock, client.loop_read)

    def _closed(self, _client: Client, _data: object, sock: Any) -> None:
        asyncio.get_running_loop().remove_reader(sock)

    def _writing(self, client: Client, _data: object, sock: Any) -> None:
        asyncio.get_running_loop().add_writer(sock, client.loop_write)

    def _written(self, _client: Client, _data: object, sock: Any) -> None:
        asyncio.get_running_loop().remove_writer(sock)

    def _connect(self, client: Client) -> None:
        options: dict[str, Any] = {}
        if self._profile.protocol == "5":
            options["clean_start"] = self._profile.clean
            if not self._profile.clean:
                options["properties"] = Properties(PacketTypes.CONNECT)
                options["properties"].SessionExpiryInterval = SESSION_EXPIRY_S
        client.connect(HOST, self._port, keepalive=self._keepalive_s, **options)

    async def _serve(self, client: Client) -> None:
        """Look after the keep-alive until the connection is lost."""
        while not self._down.is_set():
            client.loop_misc()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._down.wait()

    def _connected(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _props: object
    ) -> None:
        if not reason.is_failure:
            client.subscribe([(each, 1) for each in self._filters])

    def _subscribed(self) -> None:
        if not self.up:
            self.number += 1
            self.up = True
            self._on_up()

    def _disconnected(
        self, _client: Client, _data: object, _flags: DisconnectFlags, _reason: ReasonCode, _props: object
    ) -> None:
        self._down.set()
        if self.up:
            self.up = False
            self._on_down()

    def _heard(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        # What a kept session had in store may come before the answer to our subscription.
        number = self.number if self.up else self.number + 1
        self._on_message(Message(message.topic, bytes(message.payload), message.dup, message.retain, number))


def compact(document: dict[str, Any]) -> bytes:
    """Return it as JSON."""
    return json.dumps(document, ensure_ascii=False).encode()
