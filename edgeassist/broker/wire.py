"""A paho client whose socket the event loop reads and writes, and conversions between paho's types and ours.

Paho's own network thread costs two wake-ups and two thread switches for each published message; on a small
machine those take time from the model, which computes on every core.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeassist.broker.client import TolerantClient
from edgeassist.broker.limits import IN_FLIGHT, Limits
from edgeassist.broker.options import BrokerOptions
from edgeassist.protocol.packets import Inbound, Outbound

# How often paho checks whether a ping is due or its answer overdue: this share of the keep-alive, capped.
_CHECK_SHARE = 0.2
_CHECK_S = 5.0
_GREETING_CHECK_S = 0.5
_LEAST_QUEUE = 1000
# Where messages that nobody is in a hurry for come more often than this, they are read together: waking up
# costs several times as much as reading one. A request that comes meanwhile waits as long.
REST_S = 0.02
# So many of them are read in one turn of the event loop.
_TOGETHER = 8


def make_client(
    options: BrokerOptions, tls: ssl.SSLContext | None, *, connect_timeout_s: float
) -> TolerantClient:
    """Return a client with these options, not connected, without callbacks."""
    version5 = options.protocol == "5"
    client = TolerantClient(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if version5 else MQTTProtocolVersion.MQTTv311,
        clean_session=None if version5 else options.session_expiry_s == 0,
        # Without this, paho answers a refusal of 3.1.1 by reconnecting in MQTT 3.1, on a socket of its own.
        reconnect_on_failure=False,
    )
    client.connect_timeout = connect_timeout_s
    client.suppress_exceptions = True
    client.most_bytes = options.max_packet_bytes
    if options.username is not None:
        client.username_pw_set(options.username, options.password)
    if tls is not None:
        client.tls_set_context(tls)
    # A connection that stands takes what can't wait, such as the ends of many answers; streams pause before.
    client.max_queued_messages_set(max(options.queue, _LEAST_QUEUE))
    if options.will is not None:
        will = options.will
        client.will_set(will.topic, will.payload, will.qos, will.retain)
    return client


def connect_client(client: Client, options: BrokerOptions) -> None:
    """Open the connection and queue the CONNECT packet. Blocks: `Wire.connect` calls it in a thread.

    Raises:
        OSError: No connection.
        UnicodeError: The host can't be a name.
    """
    if options.protocol == "5":
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = options.session_expiry_s
        properties.MaximumPacketSize = options.max_packet_bytes
        if options.receive_maximum is not None:
            properties.ReceiveMaximum = options.receive_maximum
        client.connect(
            options.host,
            options.port,
            options.keepalive_s,
            clean_start=options.session_expiry_s == 0,
            properties=properties,
        )
    else:
        client.connect(options.host, options.port, options.keepalive_s)


def end(client: Client, options: BrokerOptions, *, end_session: bool = False) -> None:
    """Send DISCONNECT; with MQTT 5, the session may end with it."""
    properties = None
    if end_session and options.protocol == "5":
        properties = Properties(PacketTypes.DISCONNECT)
        properties.SessionExpiryInterval = 0
    client.disconnect(properties=properties)


def send(client: Client, message: Outbound, qos: int, options: BrokerOptions) -> MQTTMessageInfo:
    """Publish at a QoS; a ValueError if the message can't be. MQTT 3.1.1 leaves the correlation data out."""
    properties = None
    if message.correlation is not None and options.protocol == "5":
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = message.correlation
    return client.publish(message.topic, message.payload, qos, message.retain, properties)


def is_sent(info: MQTTMessageInfo) -> bool:
    """Whether a message has been sent, or was lost with its connection."""
    try:
        return info.is_published()
    except (ValueError, RuntimeError):  # paho's ways to say that it was lost
        return True


def to_inbound(message: MQTTMessage) -> Inbound:
    """Return paho's message as ours."""
    properties = message.properties
    return Inbound(
        topic=message.topic,
        payload=bytes(message.payload),
        retained=message.retain,
        redelivered=message.dup,
        packet_id=message.mid,
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
        qos=message.qos,
    )


def to_limits(properties: Properties | None) -> Limits:
    """Return what the broker said of itself in its CONNACK."""
    return Limits(
        packet_bytes=getattr(properties, "MaximumPacketSize", None),
        in_flight=min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT)),
        qos=getattr(properties, "MaximumQoS", 2),
        retain=bool(getattr(properties, "RetainAvailable", 1)),
        wildcards=bool(getattr(properties, "WildcardSubscriptionAvailable", 1)),
    )


class Wire:
    """Reads and writes for one client; all methods are for the event loop's thread.

    Args:
        client: Its socket callbacks are taken.
        on_heard: Called when something was read, and the connection stands.
    """

    def __init__(self, client: TolerantClient, on_heard: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._on_heard = on_heard
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[MQTTErrorCode] | None = None
        self._in_paho = False
        self._blocked = False
        self._unhurried = False
        self._unhurried_at = -math.inf
        self._resting: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        client.on_socket_open = _without_delay
        client.on_socket_close = lambda _client, _data, connection: self._unwatch(connection)
        # With this set, `publish` never writes by itself.
        client.on_socket_register_write = lambda *_: self._want_write()

    async def connect(self, connect: Callable[[], object]) -> None:
        """Call `connect` in a thread: name look-up and TLS handshake block.

        Cancelling doesn't interrupt them; the socket is then closed when they end.

        Raises:
            Exception: Whatever `connect` raises.
        """
        connected: asyncio.Future[None] = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if connected.cancelled():
                self._close()
            elif error is not None:
                connected.set_exception(error)
            else:
                connected.set_result(None)

        def attempt() -> None:
            try:
                connect()
            except Exception as error:  # noqa: BLE001 - raised again in the event loop
                self._hand_over(settle, error)
            else:
                self._hand_over(settle, None)

        threading.Thread(target=attempt, name="mqtt-connect", daemon=True).start()
        await connected

    async def serve(self) -> MQTTErrorCode:
        """Carry packets until the connection ends; return paho's reason. Cancelling closes the connection.

        Raises:
            Exception: Whatever paho raises, on a malformed packet for instance.
        """
        connection = self._client.socket()
        if connection is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        self._ended = self._loop.create_future()
        self._loop.add_reader(connection, self._read)
        try:
            self._write()
            while not self._ended.done():
                await asyncio.wait([self._ended], timeout=self._pause_s())
                self._let(self._client.loop_misc)
            return self._ended.result()
        finally:
            self._ended.cancel()
            self._close()

    def _pause_s(self) -> float:
        if not self._client.is_connected():  # the broker may ask for another keep-alive
            return _GREETING_CHECK_S
        return min(_CHECK_SHARE * self._client.keepalive, _CHECK_S) or _CHECK_S

    @property
    def serving(self) -> bool:
        """Whether `serve` has a connection."""
        return self._ended is not None and not self._ended.done()

    def unhurried(self) -> None:
        """Note that the packet that is being read could have waited."""
        self._unhurried = True

    def _read(self) -> None:
        if self._soon is not None:  # once in each turn of the event loop
            return
        rested, self._resting = self._resting is not None, None
        self._client.dry = False
        read = 0
        while read < _TOGETHER:
            self._unhurried = False
            self._let(self._client.loop_read)
            if not self._unhurried:
                break
            read += 1
        connection: Any = self._client.socket()
        if connection is None or not self.serving:
            return
        self._on_heard()
        before, now = self._unhurried_at, self._loop.time()
        if read:
            self._unhurried_at = now
        often = rested or now - before < REST_S
        # An acknowledgement that is due lets what waits behind it go out.
        if read and often and self._client.dry and not self._client.ahead and not self._client.awaits:
            if not rested:
                self._loop.remove_reader(connection)
            self._resting = self._loop.call_later(REST_S, self._read)
            return
        if rested:
            self._loop.add_reader(connection, self._read)
        # The socket is not readable for what has been read ahead, or for data that TLS has decrypted already.
        if self._client.ahead or (hasattr(connection, "pending") and connection.pending()):
            self._soon = self._loop.call_soon(self._go_on_reading)

    def _go_on_reading(self) -> None:
        self._soon = None
        self._read()

    def _want_write(self) -> None:
        # Called by `publish`, and in the connecting thread; after the latter, `serve` writes anyway.
        if self._in_paho:
            self._loop.call_soon(self._write)
        else:
            self._write()

    def _write(self) -> None:
        self._let(self._client.loop_write)
        blocked = self._client.want_write()
        connection = self._client.socket()
        if blocked == self._blocked or connection is None or not self.serving:
            return
        self._blocked = blocked
        if blocked:
            self._loop.add_writer(connection, self._write)
        else:
            self._loop.remove_writer(connection)

    def _let(self, work: Callable[[], MQTTErrorCode]) -> None:
        """Call into paho, then check that the connection still stands."""
        if self._ended is None or self._ended.done():
            return
        self._in_paho = True
        try:
            status = work()
        except Exception as error:  # noqa: BLE001 - raised by `serve`
            self._ended.set_exception(error)
            return
        finally:
            self._in_paho = False
        if status != MQTTErrorCode.MQTT_ERR_SUCCESS or self._client.socket() is None:
            self._ended.set_result(status)

    def _unwatch(self, connection: Any) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if connection.fileno() < 0:  # closed by `_close`; paho finds that out when it connects again
            return
        self._loop.remove_reader(connection)
        self._loop.remove_writer(connection)
        self._blocked = False

    def _hand_over(self, settle: Callable[[Exception | None], None], error: Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(settle, error)

    def _close(self) -> None:
        """Close a connection that paho has not closed."""
        connection: Any = self._client.socket()
        if connection is not None:
            self._unwatch(connection)
            connection.close()


def _without_delay(_client: Client, _data: Any, connection: Any) -> None:
    # Nagle's algorithm holds a QoS 1 exchange up by 44 to 88 ms (measured).
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
