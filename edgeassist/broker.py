"""The connection to the MQTT broker; the only module that imports paho.

Paho runs in one thread of ours, named `mqtt`. Its callbacks hand over to the event loop and do nothing
else: a slow one would stall the keep-alive (paho issue 379), and an exception in one would end the thread
(894). The thread connects again for ever, with jittered backoff.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeassist.errors import ConfigurationError
from edgeassist.protocol.packets import Inbound, Outbound, Subscription

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 15.0
FIRST_RETRY_S = 0.5
# Messages handed to the event loop and not yet looked at; beyond it, paho stops reading the socket.
INBOUND_LIMIT = 1000
INBOUND_WAIT_S = 5.0
# Bytes that wait for the broker, above which streams hold their text back.
HIGH_WATER_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Tls:
    """How the broker proves who it is, and how we do. None: the system's CAs; no certificate of ours."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Where the broker is and how to speak to it; `will` is published by the broker when we vanish."""

    host: str
    port: int
    client_id: str
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_s: int = 30
    session_expiry_s: int = 0
    reconnect_max_s: float = 60.0
    queue: int = 1000
    max_packet_bytes: int = 1 << 20
    tls: Tls | None = None
    will: Outbound | None = None

    @property
    def address(self) -> str:
        """Host and port, for a person."""
        return f"{self.host}:{self.port}"


class Broker:
    """A connection that comes back. All methods are for the event loop's thread.

    Args:
        options: Where and how.
        subscriptions: Made anew on every connect.
        on_message: Called in the event loop for each message.
        on_up: Called in the event loop when connected and subscribed.
        on_down: Called in the event loop, with the reason, when a connection was lost or could not be made.
    """

    def __init__(
        self,
        options: BrokerOptions,
        *,
        subscriptions: Sequence[Subscription],
        on_message: Callable[[Inbound], None],
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._options = options
        self._subscriptions = tuple(subscriptions)
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._stopping = threading.Event()
        self._inbound = threading.BoundedSemaphore(INBOUND_LIMIT)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._unsent: deque[tuple[MQTTMessageInfo, int]] = deque()
        self._unsent_bytes = 0
        self._refusal = ""
        self.connected = False
        self.connects = 0
        self.dropped = 0

    def start(self) -> None:
        """Begin to connect; returns at once.

        Raises:
            ConfigurationError: A TLS file can't be used.
        """
        self._loop = asyncio.get_running_loop()
        self._client = self._make_client()
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether somebody looks after the connection."""
        return self._thread.is_alive()

    @property
    def congested(self) -> bool:
        """Whether so much waits for the broker that what can wait should."""
        self._forget_sent()
        return self._unsent_bytes > HIGH_WATER_BYTES

    def publish(self, message: Outbound) -> bool:
        """Send, or queue for the next connection at QoS 1; False where the message was dropped."""
        properties = None
        if message.correlation is not None and self._options.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = message.correlation
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain, properties)
        queued = info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and message.qos > 0
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._unsent.append((info, len(message.payload)))
            self._unsent_bytes += len(message.payload)
        elif not queued:
            self.dropped += 1
        return queued or info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is with the broker; False where that took longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.connected and self._forget_sent():
                    await asyncio.sleep(0.01)
        return not self._unsent

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Disconnect cleanly, which keeps the will from being published, and end the thread."""
        self._stopping.set()
        self._client.disconnect()
        await asyncio.to_thread(self._thread.join, timeout_s)
        self.connected = False

    def _forget_sent(self) -> int:
        while self._unsent and _is_sent(self._unsent[0][0]):
            self._unsent_bytes -= self._unsent.popleft()[1]
        return len(self._unsent)

    def _make_client(self) -> Client:
        options = self._options
        version5 = options.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if version5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if version5 else True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.suppress_exceptions = True
        client.max_queued_messages_set(options.queue)
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        if options.tls is not None:
            client.tls_set_context(_tls_context(options.tls))
        if options.will is not None:
            will = options.will
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._handle_connect
        client.on_disconnect = self._handle_disconnect
        client.on_subscribe = self._handle_subscribe
        client.on_message = self._handle_message
        client.on_socket_open = _without_delay
        # With this set, `publish` leaves the writing to our thread, the only one that touches the socket.
        client.on_socket_register_write = lambda _client, _data, _socket: None
        return client

    # --- in the thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        delay = FIRST_RETRY_S
        while not self._stopping.is_set():
            connects = self.connects
            reason = self._connect_and_serve()
            if self._stopping.is_set():
                return
            delay = (
                FIRST_RETRY_S if self.connects > connects else min(delay * 2, self._options.reconnect_max_s)
            )
            self._post(self._lost, reason)
            self._stopping.wait(random.uniform(0.5, 1) * delay)  # noqa: S311 - spreads load, guards nothing

    def _connect_and_serve(self) -> str:
        """Connect, serve until the connection ends, and return why it did."""
        self._refusal = ""
        try:
            self._connect()
            while (status := self._client.loop(timeout=1.0)) == MQTTErrorCode.MQTT_ERR_SUCCESS:
                pass
        except OSError as error:
            return explain(error, self._options)
        except Exception as error:  # whatever paho meets, we must come back
            log.exception("the MQTT connection failed in an unexpected way")
            return f"unexpected: {error}"
        return self._refusal or f"the connection to {self._options.address} was lost: {status.name}"

    def _connect(self) -> None:
        options = self._options
        if options.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = options.session_expiry_s
            properties.MaximumPacketSize = options.max_packet_bytes
            self._client.connect(
                options.host,
                options.port,
                options.keepalive_s,
                clean_start=options.session_expiry_s == 0,
                properties=properties,
            )
        else:
            self._client.connect(options.host, options.port, options.keepalive_s)

    def _handle_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _props: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refusal = explain_refusal(str(reason), self._options)
            return
        if self._subscriptions:
            client.subscribe([(each.filter, each.qos) for each in self._subscriptions])
        else:
            self._up()

    def _handle_subscribe(
        self, client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _props: Properties | None
    ) -> None:
        refused = [
            f"{each.filter} ({reason})"
            for each, reason in zip(self._subscriptions, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._refusal = (
                f"the broker at {self._options.address} refuses the subscription to {', '.join(refused)}: "
                "let its access control list allow it"
            )
            client.disconnect()
        else:
            self._up()

    def _up(self) -> None:
        self.connects += 1
        self._post(self._arrived)

    def _handle_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _props: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._refusal = explain_refusal(str(reason), self._options)

    def _handle_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        properties = message.properties
        inbound = Inbound(
            topic=message.topic,
            payload=bytes(message.payload),
            retained=message.retain,
            redelivered=message.dup,
            packet_id=message.mid,
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation=getattr(properties, "CorrelationData", None),
            expiry_s=getattr(properties, "MessageExpiryInterval", None),
        )
        if self._inbound.acquire(timeout=INBOUND_WAIT_S):
            self._post(self._deliver, inbound)
        else:
            log.error("a message on %s was dropped: the daemon does not keep up", message.topic)

    def _post(self, callback: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody is left to hear
            self._loop.call_soon_threadsafe(callback, *args)

    # --- back in the event loop ----------------------------------------------------------------------------

    def _deliver(self, message: Inbound) -> None:
        self._inbound.release()
        self._on_message(message)

    def _arrived(self) -> None:
        self.connected = True
        log.info("connected to the broker at %s", self._options.address)
        self._on_up()

    def _lost(self, reason: str) -> None:
        self.connected = False
        self._on_down(reason)


def explain(error: OSError, options: BrokerOptions) -> str:
    """Return why no connection came about, and which setting to look at."""
    match error:
        case socket.gaierror():
            return f"the host {options.host!r} is unknown: check mqtt.host and the name server"
        case ssl.SSLCertVerificationError():
            return (
                f"the certificate of {options.address} is not accepted: {error.verify_message}: check "
                "mqtt.tls_ca, mqtt.host, the certificate's dates and this device's clock"
            )
        case ssl.SSLError():
            return (
                f"no TLS connection to {options.address}: {error.reason}: check mqtt.port, mqtt.tls and, if "
                "the broker asks for a certificate, mqtt.tls_cert"
            )
        case ConnectionRefusedError():
            return (
                f"nothing listens on {options.address}: check mqtt.host and mqtt.port, "
                "and whether the broker runs"
            )
        case TimeoutError():
            return f"no answer from {options.address}: check mqtt.host, mqtt.port and the network"
        case _:
            return f"no connection to {options.address}: {error.strerror or error}"


def explain_refusal(reason: str, options: BrokerOptions) -> str:
    """Return why the broker does not want us, and which setting to look at."""
    ways_out = {
        "Bad user name or password": "check mqtt.username and mqtt.password",
        "Not authorized": "check mqtt.username, mqtt.password and the broker's access control list",
        "Client identifier not valid": "check mqtt.client_id",
        "Unsupported protocol version": 'set mqtt.protocol to "3.1.1"',
        "Session taken over": f"another client is {options.client_id!r} too: give each its mqtt.client_id",
    }
    way_out = ways_out.get(reason)
    return f"the broker at {options.address} says: {reason}" + (f": {way_out}" if way_out else "")


def _tls_context(tls: Tls) -> ssl.SSLContext:
    setting = "mqtt.tls_ca"
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        setting = "mqtt.tls_cert and mqtt.tls_key"
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting}: can't be used: {error}") from None
    context.check_hostname = not tls.insecure
    return context


def _no_passphrase() -> str:
    raise ValueError("the key asks for a passphrase, and nobody is there to type it")


def _without_delay(_client: Client, _data: Any, connection: Any) -> None:
    # Nagle's algorithm holds a QoS 1 exchange up by 44 to 88 ms (measured).
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _is_sent(info: MQTTMessageInfo) -> bool:
    try:
        return info.is_published()
    except (ValueError, RuntimeError):  # paho's way to say that it was lost with its connection
        return True
