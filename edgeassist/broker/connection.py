"""The connection to the MQTT broker: made again for ever, with jittered backoff.

Paho's callbacks ask the event loop for what is to be done and do nothing else: what is raised in one would
vanish (paho issue 894).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeassist.broker.options import BrokerOptions, tls_context
from edgeassist.broker.reasons import explain, explain_refusal, explain_silence
from edgeassist.broker.wire import Wire, make_client
from edgeassist.protocol.packets import Inbound, Outbound, Subscription

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 15.0
FIRST_RETRY_S = 0.5
# Where another client has our id, each of us would throw the other out at every attempt.
TAKEN_OVER_RETRY_S = 10.0
# A connection that lasted so long was a good one. After so many brief ones in a row, something that we send
# ends them, and paho would send it again for ever.
SETTLED_S = 5.0
MAX_BRIEF = 3
# Bytes that wait for the broker, above which streams hold their text back.
HIGH_WATER_BYTES = 1 << 18
# More than what a packet has besides topic, payload and correlation data.
HEADER_BYTES = 32


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
        self._more: tuple[Subscription, ...] = ()
        self._asked: dict[int | None, tuple[Subscription, ...]] = {}
        self._greeting: int | None = None
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsent: deque[tuple[MQTTMessageInfo, int]] = deque()
        self._unsent_bytes = 0
        self._refusal = ""
        self._greeted = False
        self._welcomed = False
        self._taken_over = False
        self._packet_limit: int | None = None
        self._queued: dict[int, int] = {}
        self.connected = False
        self.connects = 0
        self.dropped = 0
        self.last_problem: str | None = None

    def start(self) -> None:
        """Begin to connect; returns at once.

        Raises:
            ConfigurationError: A TLS file can't be used.
        """
        self._loop = asyncio.get_running_loop()
        self._tls_context = None if self._options.tls is None else tls_context(self._options.tls)
        self._make_client()
        self._task = asyncio.create_task(self._run(), name="mqtt")

    @property
    def alive(self) -> bool:
        """Whether somebody looks after the connection."""
        return self._task is not None and not self._task.done()

    @property
    def congested(self) -> bool:
        """Whether so much waits for the broker that what can wait should."""
        self._forget_sent()
        return self._unsent_bytes > HIGH_WATER_BYTES

    def publish(self, message: Outbound) -> bool:
        """Send, or queue for the next connection at QoS 1; False where the message was dropped."""
        if self._stopping.is_set():
            self.dropped += 1
            return False
        size = len(message.payload)
        packet = size + len(message.topic.encode()) + len(message.correlation or b"") + HEADER_BYTES
        if self._packet_limit is not None and packet > self._packet_limit:
            log.error("a message of %d bytes for %s is more than the broker takes", size, message.topic)
            self.dropped += 1
            return False
        properties = None
        if message.correlation is not None and self._options.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = message.correlation
        try:
            info = self._client.publish(
                message.topic, message.payload, message.qos, message.retain, properties
            )
        except ValueError as error:
            log.error("a message can't be published: %s", error)  # noqa: TRY400 - its text says all
            self.dropped += 1
            return False
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._unsent.append((info, size))
            self._unsent_bytes += size
            return True
        if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and message.qos > 0:
            self._queued[info.mid] = size
            self._client.on_publish = self._handle_published
            return True
        self.dropped += 1
        return False

    def listen(self, subscriptions: Sequence[Subscription]) -> None:
        """Listen to these from now on, besides the first ones, and no more to those of the last call."""
        old, self._more = self._more, tuple(subscriptions)
        if not self._client.is_connected():
            return
        gone = [each.filter for each in old if each not in self._more]
        if gone:
            self._client.unsubscribe(gone)
        new = tuple(each for each in self._more if each not in old)
        if new:
            self._subscribe(self._client, new)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is with the broker; False where that took longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._forget_sent():
                    await asyncio.sleep(0.01)
        return not self._forget_sent()

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Disconnect cleanly, which keeps the will from being published; by force where that takes longer."""
        self._stopping.set()
        if self._task is None:
            return
        self._client.disconnect()
        await asyncio.wait([self._task], timeout=timeout_s if self._wire.serving else 0)
        self._task.cancel()
        await asyncio.wait([self._task])
        self.connected = False

    def _forget_sent(self) -> int:
        while self._unsent and _is_sent(self._unsent[0][0]):
            self._unsent_bytes -= self._unsent.popleft()[1]
        return len(self._unsent) + len(self._queued)

    def _make_client(self) -> None:
        options = self._options
        client = make_client(options, self._tls_context, connect_timeout_s=CONNECT_TIMEOUT_S)
        client.max_queued_messages_set(options.queue)
        if options.will is not None:
            will = options.will
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._handle_connect
        client.on_disconnect = self._handle_disconnect
        client.on_subscribe = self._handle_subscribe
        client.on_message = self._handle_message
        self._client, self._wire = client, Wire(client)

    async def _run(self) -> None:
        delay = FIRST_RETRY_S
        brief = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            reason = await self._connect_and_serve()
            if self._stopping.is_set():
                return
            settled = self._welcomed and time.monotonic() - begun >= SETTLED_S
            if self._welcomed and not settled and not self._refusal:
                reason += (
                    f"; if that repeats, look for another client with the id {self._options.client_id!r}"
                )
            brief = brief + 1 if self._welcomed and not settled and not self._taken_over else 0
            if brief == MAX_BRIEF:
                self._start_afresh()
                brief = 0
            delay = FIRST_RETRY_S if settled else delay * 2
            delay = min(
                max(delay, TAKEN_OVER_RETRY_S if self._taken_over else 0), self._options.reconnect_max_s
            )
            self.connected = False
            self.last_problem = reason
            self._loop.call_soon(self._on_down, reason)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.5, 1) * delay):  # noqa: S311 - spreads load only
                    await self._stopping.wait()

    async def _connect_and_serve(self) -> str:
        """Connect, serve until the connection ends, and return why it did."""
        options = self._options
        self._refusal, self._greeted, self._welcomed, self._taken_over = "", False, False, False
        try:
            await self._wire.connect(self._connect)
            status = await self._wire.serve()
        except (OSError, UnicodeError) as error:
            return explain(error, options)
        except Exception as error:  # whatever paho meets, we must come back
            log.exception("the MQTT connection failed in an unexpected way")
            return f"unexpected: {error}"
        if self._refusal:
            return self._refusal
        if not self._greeted:
            return explain_silence(options)
        return f"the connection to {options.address} was lost: {status.name}"

    def _start_afresh(self) -> None:
        """Give up what waits for the broker: a message that it refuses would end every connection."""
        log.error("%d connections in a row ended at once: what waited for the broker is dropped", MAX_BRIEF)
        self._make_client()
        self._queued.clear()
        self._unsent.clear()
        self._unsent_bytes = 0

    def _connect(self) -> None:
        """Connect and queue our greeting; called in a thread."""
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
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._packet_limit = getattr(properties, "MaximumPacketSize", None)
        self._greeted, self._welcomed = True, not reason.is_failure
        if reason.is_failure:
            self._refusal = explain_refusal(str(reason), self._options)
            return
        self._asked.clear()
        wanted = (*self._subscriptions, *self._more)
        if wanted:
            self._greeting = self._subscribe(client, wanted)
        else:
            self._up()

    def _subscribe(self, client: Client, subscriptions: tuple[Subscription, ...]) -> int | None:
        """Ask for them all at once; return the number of the packet, which the answer has too."""
        _, mid = client.subscribe([(each.filter, each.qos) for each in subscriptions])
        self._asked[mid] = subscriptions
        return mid

    def _handle_subscribe(
        self, client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _props: Properties | None
    ) -> None:
        needed: list[str] = []
        spared: list[str] = []
        for each, reason in zip(self._asked.pop(mid, ()), reasons, strict=False):
            if reason.is_failure:
                (spared if each.optional else needed).append(f"{each.filter} ({reason})")
        if spared:
            log.warning("%s", self._refused(spared))
        if needed:
            self._refusal = self._refused(needed)
            self._welcomed = False
            client.disconnect()
        elif mid == self._greeting:
            self._up()

    def _refused(self, filters: Sequence[str]) -> str:
        return (
            f"the broker at {self._options.address} refuses the subscription to {', '.join(filters)}: "
            "let its access control list allow it"
        )

    def _up(self) -> None:
        self.connects += 1
        self._loop.call_soon(self._arrived)

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
            self._taken_over = str(reason) == "Session taken over"

    def _handle_published(
        self, client: Client, _data: Any, mid: int, _reason: ReasonCode, _props: Properties | None
    ) -> None:
        # Of what is sent at once paho tells without being asked, and being asked costs it as much as sending.
        self._queued.pop(mid, None)
        if not self._queued:
            client.on_publish = None

    def _handle_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._loop.call_soon(self._on_message, to_inbound(message))

    def _arrived(self) -> None:
        self.connected = True
        log.info("connected to the broker at %s", self._options.address)
        self._on_up()


def to_inbound(message: MQTTMessage) -> Inbound:
    """Return paho's message as the rest of the house sees one."""
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
    )


def _is_sent(info: MQTTMessageInfo) -> bool:
    try:
        return info.is_published()
    except (ValueError, RuntimeError):  # paho's way to say that it was lost with its connection
        return True
