"""One connection that finds out what a broker grants, takes and delivers.

`Broker` gives up a connection if anything it needs is refused; this one goes on, to report all that is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeassist.broker.attempts import Attempt
from edgeassist.broker.client import TolerantClient
from edgeassist.broker.options import BrokerOptions, tls_context
from edgeassist.broker.reasons import (
    Reason,
    explain,
    explain_garble,
    explain_muteness,
    explain_refusal,
    explain_silence,
    words,
)
from edgeassist.broker.versions import other_version, takes_only_other
from edgeassist.broker.wire import Wire, connect_client, make_client, to_inbound
from edgeassist.errors import BrokerError
from edgeassist.protocol.packets import Inbound, Outbound

# How long the broker may take for each of its answers, in seconds.
CONNECT_S = 4.0
GREET_S = 3.0
SUBSCRIBE_S = 2.0
TALK_S = 2.5
MOST_HEARD = 4096
_CLOSE_S = 1.0
_POLL_S = 0.02


@dataclass
class Sight:
    """What the broker has done so far.

    Attributes:
        protocol: The version of MQTT that was spoken: the other one, if it takes only that.
        max_packet_bytes: The largest packet that it takes; None if it names no limit (MQTT 5).
        max_qos: The highest QoS that it takes (MQTT 5).
        retains: Whether it keeps retained messages (MQTT 5).
        shares: Whether it says that it has shared subscriptions (MQTT 5; with 3.1.1 it can't say).
        certificate_until: When its certificate ends, in seconds since 1970; None without TLS.
        granted: The filters that it granted.
        refused: The filters that it refused, with its reason in words.
        acknowledged: The names of the messages that it acknowledged.
        rejected: The names of those that it refused (MQTT 5), with its reason in words.
        heard: The messages that it delivered.
        lost: Why the connection ended; None while it stands.
    """

    protocol: str
    max_packet_bytes: int | None = None
    max_qos: int = 2
    retains: bool = True
    shares: bool = True
    certificate_until: float | None = None
    granted: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    rejected: dict[str, str] = field(default_factory=dict)
    heard: list[Inbound] = field(default_factory=list)
    lost: str | None = None


async def look(
    options: BrokerOptions,
    *,
    filters: Sequence[str],
    say: Callable[[Sight], Mapping[str, Outbound]],
    enough: Callable[[Sight], bool],
    keep: Callable[[Inbound], Inbound] = lambda message: message,
) -> Sight:
    """Connect, subscribe, publish, and listen until all is acknowledged and enough was heard.

    Takes about twelve seconds at most, whatever the broker does.

    Args:
        options: How to connect; without a will. A broker that takes only the other version of MQTT is looked
            at in that.
        filters: What to subscribe to.
        say: Called when the broker has answered the subscriptions; returns the messages to publish, by
            name, at QoS 1 where the broker takes that.
        enough: Whether enough was heard.
        keep: Called with each message; what of it is to be remembered. Of more than MOST_HEARD none is.

    Raises:
        BrokerError: There is no connection; the message says why, and which setting to check.
        ConfigurationError: A TLS file can't be used.
    """
    first = _Look(options, filters, say, enough, keep)
    try:
        return await first.run()
    except BrokerError:
        if not first.attempt.version_in_doubt or not await takes_only_other(options):
            raise
    return await _Look(other_version(options), filters, say, enough, keep).run()


class _Look:
    def __init__(
        self,
        options: BrokerOptions,
        filters: Sequence[str],
        say: Callable[[Sight], Mapping[str, Outbound]],
        enough: Callable[[Sight], bool],
        keep: Callable[[Inbound], Inbound],
    ) -> None:
        self._options = options
        self._filters = tuple(filters)
        self._say = say
        self._enough = enough
        self._keep = keep
        self._sight = Sight(options.protocol)
        self.attempt = Attempt()
        self._answered = False
        self._names: dict[int, str] = {}

    async def run(self) -> Sight:
        client = self._make_client()
        wire = Wire(client)
        await self._connect(client, wire)
        serving = asyncio.create_task(wire.serve(), name="probe")
        try:
            await _until(GREET_S, lambda: self.attempt.greeted or serving.done())
            if self.attempt.refusal or not self.attempt.greeted:
                raise BrokerError(self.attempt.refusal or self._silence(serving))
            await _until(SUBSCRIBE_S, lambda: self._answered or serving.done())
            messages = {} if serving.done() else self._say(self._sight)
            for name, message in messages.items():
                qos = min(1, self._sight.max_qos)
                # The event loop reads no acknowledgement before the packet id is noted.
                info = client.publish(message.topic, message.payload, qos=qos, retain=message.retain)
                if qos:
                    self._names[info.mid] = name
                else:
                    self._sight.acknowledged.add(name)
            await _until(TALK_S, lambda: serving.done() or self._is_through(len(messages)))
            if serving.done():
                self._sight.lost = self.attempt.refusal or self._end(serving)
            return self._sight
        finally:
            client.disconnect()
            await asyncio.wait([serving], timeout=_CLOSE_S)
            serving.cancel()
            await asyncio.wait([serving])

    async def _connect(self, client: Client, wire: Wire) -> None:
        options = replace(self._options, session_expiry_s=0)
        try:
            async with asyncio.timeout(CONNECT_S):
                await wire.connect(partial(connect_client, client, options))
                self.attempt.reached = True
        except (OSError, UnicodeError) as error:
            raise BrokerError(explain(error, options)) from None

    def _make_client(self) -> TolerantClient:
        tls = None if self._options.tls is None else tls_context(self._options.tls)
        client = make_client(self._options, tls, connect_timeout_s=CONNECT_S)
        client.on_connect = self._handle_connect
        client.on_disconnect = self._handle_disconnect
        client.on_subscribe = self._handle_subscribe
        client.on_publish = self._handle_published
        client.on_message = self._handle_message
        return client

    def _is_through(self, messages: int) -> bool:
        sight = self._sight
        return len(sight.acknowledged) + len(sight.rejected) == messages and self._enough(sight)

    def _silence(self, serving: asyncio.Task[Any]) -> str:
        if not serving.done():
            return explain_muteness(self._options)
        garbled = serving.exception() is not None or serving.result() is MQTTErrorCode.MQTT_ERR_PROTOCOL
        return explain_garble(self._options) if garbled else explain_silence(self._options)

    def _end(self, serving: asyncio.Task[Any]) -> str:
        error = serving.exception()
        return f"{error}" if error is not None else f"the broker ended it: {serving.result().name}"

    def _handle_connect(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.attempt.greeted = True
        self.attempt.unsupported = reason.value == Reason.UNSUPPORTED_PROTOCOL_VERSION
        if reason.is_failure:
            self.attempt.refusal = explain_refusal(reason.value, str(reason), self._options)
            return
        sight = self._sight
        sight.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        sight.max_qos = getattr(properties, "MaximumQoS", sight.max_qos)
        sight.retains = bool(getattr(properties, "RetainAvailable", 1))
        sight.shares = bool(getattr(properties, "SharedSubscriptionAvailable", 1))
        connection: Any = client.socket()
        if self._options.tls is not None and "notAfter" in (certificate := connection.getpeercert()):
            sight.certificate_until = ssl.cert_time_to_seconds(certificate["notAfter"])
        client.subscribe([(each, 1) for each in self._filters])

    def _handle_subscribe(
        self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _props: Properties | None
    ) -> None:
        for each, reason in zip(self._filters, reasons, strict=False):
            if reason.is_failure:
                self._sight.refused[each] = words(reason.value, str(reason))
            else:
                self._sight.granted.add(each)
        self._answered = True

    def _handle_published(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _props: Properties | None
    ) -> None:
        name = self._names.get(mid)
        if name is None:  # of QoS 0
            return
        if reason.is_failure:
            self._sight.rejected[name] = words(reason.value, str(reason))
        else:
            self._sight.acknowledged.add(name)

    def _handle_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if len(self._sight.heard) < MOST_HEARD:
            self._sight.heard.append(self._keep(to_inbound(message)))

    def _handle_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _props: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self.attempt.refusal = explain_refusal(reason.value, str(reason), self._options)


async def _until(limit_s: float, condition: Callable[[], bool]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not condition():
                await asyncio.sleep(_POLL_S)
