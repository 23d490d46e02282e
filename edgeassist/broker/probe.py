"""One connection that finds out what a broker grants, takes and delivers.

`Broker` gives up a connection if anything it needs is refused; this one goes on, to report all that is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeassist.broker.options import BrokerOptions, tls_context
from edgeassist.broker.reasons import (
    explain,
    explain_garble,
    explain_muteness,
    explain_refusal,
    explain_silence,
    words,
)
from edgeassist.broker.wire import Wire, connect_client, make_client, to_inbound
from edgeassist.errors import BrokerError
from edgeassist.protocol.packets import Inbound, Outbound

# How long the broker may take for each of its answers, in seconds.
CONNECT_S = 4.0
GREET_S = 3.0
SUBSCRIBE_S = 2.0
TALK_S = 2.5
_CLOSE_S = 1.0
_POLL_S = 0.02


@dataclass
class Sight:
    """What the broker has done so far.

    Attributes:
        max_packet_bytes: The largest packet that it takes; None if it names no limit (MQTT 5).
        granted: The filters that it granted.
        refused: The filters that it refused, with its reason in words.
        acknowledged: The names of the messages that it acknowledged.
        rejected: The names of those that it refused (MQTT 5), with its reason in words.
        heard: The messages that it delivered.
        lost: Why the connection ended; None while it stands.
    """

    max_packet_bytes: int | None = None
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
) -> Sight:
    """Connect, subscribe, publish, and listen until all is acknowledged and enough was heard.

    Takes about twelve seconds at most, whatever the broker does.

    Args:
        options: How to connect; without a will.
        filters: What to subscribe to.
        say: Called when the broker has answered the subscriptions; returns the messages to publish at QoS 1,
            by name.
        enough: Whether enough was heard.

    Raises:
        BrokerError: There is no connection; the message says why, and which setting to check.
        ConfigurationError: A TLS file can't be used.
    """
    return await _Look(options, filters, say, enough).run()


class _Look:
    def __init__(
        self,
        options: BrokerOptions,
        filters: Sequence[str],
        say: Callable[[Sight], Mapping[str, Outbound]],
        enough: Callable[[Sight], bool],
    ) -> None:
        self._options = options
        self._filters = tuple(filters)
        self._say = say
        self._enough = enough
        self._sight = Sight()
        self._refusal: str | None = None
        self._greeted = False
        self._answered = False
        self._names: dict[int, str] = {}

    async def run(self) -> Sight:
        client = self._make_client()
        wire = Wire(client)
        await self._connect(client, wire)
        serving = asyncio.create_task(wire.serve(), name="probe")
        try:
            await _until(GREET_S, lambda: self._greeted or serving.done())
            if self._refusal is not None or not self._greeted:
                raise BrokerError(self._refusal or self._silence(serving))
            await _until(SUBSCRIBE_S, lambda: self._answered or serving.done())
            messages = {} if serving.done() else self._say(self._sight)
            for name, message in messages.items():
                # The event loop reads no acknowledgement before the packet id is noted.
                info = client.publish(message.topic, message.payload, qos=1, retain=message.retain)
                self._names[info.mid] = name
            await _until(TALK_S, lambda: serving.done() or self._is_through(len(messages)))
            if serving.done():
                self._sight.lost = self._refusal or self._end(serving)
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
        except (OSError, UnicodeError) as error:
            raise BrokerError(explain(error, options)) from None

    def _make_client(self) -> Client:
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
        self._greeted = True
        if reason.is_failure:
            self._refusal = explain_refusal(reason.value, str(reason), self._options)
            return
        self._sight.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
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
        if reason.is_failure:
            self._sight.rejected[self._names[mid]] = words(reason.value, str(reason))
        else:
            self._sight.acknowledged.add(self._names[mid])

    def _handle_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._sight.heard.append(to_inbound(message))

    def _handle_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _props: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._refusal = explain_refusal(reason.value, str(reason), self._options)


async def _until(limit_s: float, condition: Callable[[], bool]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not condition():
                await asyncio.sleep(_POLL_S)
