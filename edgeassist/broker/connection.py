"""The connection to the MQTT broker, made again whenever it ends: exponential backoff with jitter.

Paho's callbacks only note what happened and schedule work on the event loop: paho swallows what is raised in
one (paho issue 894).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeassist.broker import reasons
from edgeassist.broker.absence import Absence, passed_s
from edgeassist.broker.attempts import Attempt, Backoff
from edgeassist.broker.limits import Limits, lowered
from edgeassist.broker.options import BrokerOptions, tls_context
from edgeassist.broker.receipts import Receipt, Receipts
from edgeassist.broker.sender import Sender, settle
from edgeassist.broker.subscriptions import Handler, Route, Routes
from edgeassist.broker.versions import greets, other_version, swallows, takes_only_other
from edgeassist.broker.wire import Wire, connect_client, end, make_client, to_inbound, to_limits
from edgeassist.errors import ConfigurationError
from edgeassist.protocol.packets import Inbound, Outbound, Subscription

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 15.0


class Broker:
    """A connection that comes back, and routes for what it hears. For the event loop's thread only.

    Args:
        options: Where the broker is, and how to connect.
        on_up: Called in the event loop on every connect, once the broker has granted the subscriptions that
            are not optional.
        on_down: Called in the event loop, with the reason, after a lost connection or a failed attempt.
        on_refused: Called in the event loop, with the topic and why, when the broker does not take a message.
        away_s: How long ago an earlier run was connected, at most; infinity where nobody knows.
        passed: Seconds of a clock that goes on while the machine is suspended.

    Attributes:
        connected: Whether the broker has granted what `on_up` waits for, and the connection stands.
        connects: Number of times `connected` became true.
        resumed: Whether the broker had kept our session when the last connection began.
        last_problem: The reason that `on_down` got last.
        sender: What became of the messages that were published.
    """

    def __init__(
        self,
        options: BrokerOptions,
        *,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[str], None] = lambda _reason: None,
        on_refused: Callable[[str, str], None] = lambda _topic, _why: None,
        away_s: float = math.inf,
        passed: Callable[[], float] = passed_s,
    ) -> None:
        self._options = self._given = options
        self._on_up = on_up
        self._on_down = on_down
        self._routes = Routes()
        self._receipts = Receipts(lambda *_: None)
        self.sender = Sender(options, on_refused)
        self._attempt = Attempt()
        self._backoff = Backoff(options.reconnect_max_s)
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.connected = False
        self.connects = 0
        self.resumed = False
        self._dropped = 0
        # Of MQTT 3.1.1: what the session kept while we were away is too old, until our SUBSCRIBE is answered.
        self._stale = False
        self._absence = Absence(away_s, passed=passed)
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
        """Whether the task that keeps the connection runs."""
        return self._task is not None and not self._task.done()

    @property
    def protocol(self) -> str:
        """The version of MQTT that is spoken: not the one that is set, if the broker takes only the other."""
        return self._options.protocol

    @property
    def local_address(self) -> str | None:
        """This machine's address towards the broker; None without a connection."""
        connection: Any = None if self._task is None else self._client.socket()
        try:
            return None if connection is None else str(connection.getsockname()[0])
        except OSError:
            return None

    @property
    def dropped(self) -> int:
        """The number of messages that `publish` dropped, and of those that it took and that were lost."""
        return self._dropped + self.sender.dropped

    @property
    def congested(self) -> bool:
        """Whether so much waits for the broker that streams should pause (`Outbox.congested`)."""
        return self.sender.congested

    def subscribe(self, subscription: Subscription, handler: Handler) -> Route:
        """Give every message that matches the filter to the handler, until the route is closed.

        May be called before `start`. Every connect subscribes to all routes' filters at once; a route that
        is added later subscribes by itself, after which the broker sends retained messages again to all
        routes of that filter. Filters of one connection should not overlap: with MQTT 5, Mosquitto delivers a
        message once for each that matches, and all matching routes get every copy.

        Raises:
            ValueError: It is no topic filter.
        """
        route = Route(subscription, handler, self._close, self._leave)
        self._routes.add(route)
        if self._online and route.wanted:
            self._ask((self._routes.merged(subscription.filter),))
        return route

    def publish(self, message: Outbound) -> bool:
        """Send, or queue for the next connection at QoS 1; False if the message was dropped.

        Where the broker refuses it for its size, what is `shorter` goes out in its place, now or later.
        """
        if self._task is None or self._stopping.is_set():
            settle(message, delivered=False)
            sent = False
        else:
            sent = self.sender.publish(message)
        self._dropped += not sent
        return sent

    async def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has everything that was published; False if that takes longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.sender.waiting:
                    await asyncio.sleep(0.01)
        return not self.sender.waiting

    async def stop(self, timeout_s: float = 5.0, *, end_session: bool = False) -> None:
        """Disconnect cleanly, so that the will is not published; close the socket if that takes longer.

        Args:
            timeout_s: How long.
            end_session: Whether the broker forgets the session with it, which MQTT 3.1.1 does not know.
        """
        self._stopping.set()
        if self._task is None:
            return
        end(self._client, self._options, end_session=end_session)
        await asyncio.wait([self._task], timeout=timeout_s if self._wire.serving else 0)
        self._task.cancel()
        await asyncio.wait([self._task])
        self.sender.close()
        self.connected = False

    @property
    def _online(self) -> bool:
        """Whether packets can be sent: before `connected`, which waits for the subscriptions."""
        return self._task is not None and self._client.is_connected()

    def _make_client(self) -> None:
        client = make_client(self._options, self._tls_context, connect_timeout_s=CONNECT_TIMEOUT_S)
        client.on_connect = self._handle_connect
        client.on_disconnect = self._handle_disconnect
        client.on_subscribe = self._handle_subscribe
        client.on_message = self._handle_message
        client.on_plain = self._handle_plain
        client.on_cut = self._handle_cut
        # Without this, paho acknowledges a message before anybody has seen it.
        client.manual_ack_set(on=True)
        self._client, self._wire = client, Wire(client, self._absence.heard)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            reason = await self._connect_and_serve()
            if self._stopping.is_set():
                return
            lasted_s = time.monotonic() - begun
            attempt = self._attempt
            hung_up = attempt.accepted and attempt.hung_up
            self._note_unanswered(unanswered=hung_up and not self.connected)
            attempt.blamed = self.sender.ended(hung_up=hung_up)
            reason += self._guess(lasted_s)
            self._backoff.ended(attempt, lasted_s)
            self.connected = False
            self.last_problem = reason
            self._loop.call_soon(self._on_down, reason)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._backoff.pause_s(random.random())):  # noqa: S311 - no secret
                    await self._stopping.wait()

    async def _connect_and_serve(self) -> str:
        """Connect, in the other version of MQTT if need be, serve, and return why the connection ended."""
        if self._options.protocol != self._given.protocol and await greets(self._given):
            log.info("the broker at %s takes MQTT %s again", self._given.address, self._given.protocol)
            self._speak(self._given)
        reason = await self._connect_once()
        if (
            self._attempt.version_in_doubt
            and not self._stopping.is_set()
            and (self._attempt.swallowed or await takes_only_other(self._options))
        ):
            self._speak(other_version(self._options))
            log.warning("%s", reasons.explain_other_version(self._options))
            reason = await self._connect_once()
        return reason

    def _speak(self, options: BrokerOptions) -> None:
        """Go on with these options."""
        self._options = self.sender.options = options
        self._make_client()

    async def _connect_once(self) -> str:
        options = self._options
        attempt = self._attempt = Attempt()
        self._receipts = Receipts(self._acknowledge, options.ordered_acknowledgements)
        try:
            await self._wire.connect(partial(connect_client, self._client, options))
            attempt.reached = True
            self._loop.call_later(CONNECT_TIMEOUT_S, self._miss_greeting, attempt)
            watching = asyncio.create_task(self._watch_greeting(attempt), name="mqtt-greeting")
            try:
                status = await self._wire.serve()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        except (OSError, UnicodeError) as error:
            return reasons.explain(error, options)
        except ConfigurationError as error:  # a TLS file that was good at the start
            return error.message
        except Exception as error:  # whatever paho raises, the connection must come back
            log.exception("the MQTT connection failed in an unexpected way")
            return f"unexpected: {error}"
        finally:
            self._receipts.ended()
            if attempt.accepted:
                self._absence.ended()
        if self._attempt.refusal:
            return self._attempt.refusal
        if not self._attempt.greeted:
            garbled = status == MQTTErrorCode.MQTT_ERR_PROTOCOL
            return reasons.explain_garble(options) if garbled else reasons.explain_silence(options)
        return f"the connection to {options.address} was lost: {status.name}"

    def _note_unanswered(self, *, unanswered: bool) -> None:
        """Note whether the broker hung up over the subscriptions; then try to do without some."""
        if not (unanswered or self.connected):
            return
        if spared := self._routes.ended(answered=not unanswered):
            log.warning("%s", reasons.explain_fatal_filters(spared, self._options))

    def _guess(self, lasted_s: float) -> str:
        """Return what may have ended a connection for which the broker gave no reason, or nothing."""
        if self.sender.doubting:
            return "; what was under way is tried again, one by one"
        if self._attempt.brief(lasted_s) and not self._attempt.refusal:
            return f"; if that repeats, look for another client with the id {self._options.client_id!r}"
        return ""

    def _handle_connect(
        self,
        _client: Client,
        _data: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        attempt = self._attempt
        attempt.greeted, attempt.accepted = True, not reason.is_failure
        attempt.unsupported = reason.value == reasons.Reason.UNSUPPORTED_PROTOCOL_VERSION
        if reason.is_failure:
            attempt.refusal = reasons.explain_refusal(reason.value, str(reason), self._options)
            self._lower_will(reason.value)
            return
        self.resumed = flags.session_present
        self._stale = (
            self._options.protocol == "3.1.1"
            and not self._options.takes_stale
            and flags.session_present
            and self._absence.away_s > self._options.session_expiry_s
        )
        limits = to_limits(properties)
        self._loop.call_soon(self._begin_sending, limits)
        self._routes.connected()
        if left := self._routes.left:
            self._client.unsubscribe(list(left))
        if wanted := self._routes.wanted(wildcards=limits.wildcards):
            self._ask(wanted, first=True)
            self._loop.call_later(CONNECT_TIMEOUT_S, self._miss_answer, attempt)
        else:
            self._up()

    def _miss_greeting(self, attempt: Attempt) -> None:
        """End a connection whose CONNECT was not answered in time."""
        if attempt is self._attempt and not attempt.greeted and self._wire.serving:
            attempt.refusal = reasons.explain_muteness(self._options)
            self._client.disconnect()

    async def _watch_greeting(self, attempt: Attempt) -> None:
        """End a connection to a broker that answers only the other version: some never answer a newer one."""
        try:
            if await swallows(self._options, lambda: attempt.greeted):
                attempt.swallowed = True
                self._client.disconnect()
        except Exception:  # without it, the attempt only lasts longer
            log.exception("whether the broker takes only the other version of MQTT can't be told")

    def _lower_will(self, code: int) -> None:
        """Do without what the broker does not take in a will."""
        if (will := self._options.will) is not None:
            will = lowered(will, code)
            self._options = replace(self._options, will=will)
            self._client.will_set(will.topic, will.payload, will.qos, will.retain)

    def _begin_sending(self, limits: Limits) -> None:
        if self._online:
            if limits != self.sender.limits:
                for each in limits.words():
                    log.warning("the broker at %s: %s", self._options.address, each)
            self.sender.connected(self._client, limits)

    def _miss_answer(self, attempt: Attempt) -> None:
        """End a connection whose subscriptions were not answered in time."""
        if attempt is self._attempt and not self.connected and self._wire.serving:
            attempt.refusal = reasons.explain_unanswered(CONNECT_TIMEOUT_S, self._options)
            attempt.accepted = False
            self._client.disconnect()

    def _handle_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _props: Properties | None,
    ) -> None:
        # Without a word from the broker, the reason is paho's, from the same list.
        self._attempt.hung_up = reason.value in reasons.FOR_A_MESSAGE
        if flags.is_disconnect_packet_from_server:
            self._attempt.refusal = reasons.explain_refusal(reason.value, str(reason), self._options)
            self._attempt.taken_over = reason.value == reasons.Reason.SESSION_TAKEN_OVER

    def _up(self) -> None:
        self.connects += 1
        self._loop.call_soon(self._arrived)

    def _arrived(self) -> None:
        self.connected = True
        log.info("connected to the broker at %s", self._options.address)
        self._on_up()

    def _ask(self, subscriptions: tuple[Subscription, ...], *, first: bool = False) -> None:
        """Subscribe to them all in one packet."""
        _, packet = self._client.subscribe([(each.filter, each.qos) for each in subscriptions])
        self._routes.asked(packet, subscriptions, first=first)

    def _close(self, route: Route) -> None:
        if self._routes.remove(route) and self._online:
            self._client.unsubscribe(route.subscription.filter)

    def _leave(self, route: Route) -> None:
        topic_filter = route.subscription.filter
        if topic_filter in self._routes.left and self._online:
            self._client.unsubscribe(topic_filter)

    def _handle_subscribe(
        self, client: Client, _data: Any, mid: int, codes: list[ReasonCode], _props: Properties | None
    ) -> None:
        refusals = [reasons.words(each.value, str(each)) if each.is_failure else None for each in codes]
        verdict = self._routes.answered(mid, refusals)
        self._stale = self._stale and not verdict.first
        if verdict.spared:
            log.warning("%s", reasons.explain_refused_filters(verdict.spared, self._options))
        if verdict.refused:
            self._attempt.refusal = reasons.explain_refused_filters(verdict.refused, self._options)
            self._attempt.accepted = False
            client.disconnect()
        elif verdict.first:
            self._up()

    def _handle_cut(self, size: int) -> None:
        log.warning(
            "a message of %d bytes arrives, of which %d are read: let the broker refuse what is that long "
            "(Mosquitto: message_size_limit, max_packet_size)",
            size,
            self._options.max_packet_bytes,
        )

    def _handle_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        receipt = self._receipts.arrived(message.mid, message.qos) if message.qos else None
        # What came before and was not acknowledged is ours to answer, however old it is.
        unread = self._stale and not message.dup
        try:
            inbound = None if unread else to_inbound(message)
        except UnicodeDecodeError:  # of the topic, which a broker should have refused
            inbound = None
        if inbound is not None:
            self._loop.call_soon(self._deliver, inbound, receipt)
        elif receipt is not None:
            receipt.let_go()

    def _deliver(self, message: Inbound, receipt: Receipt | None = None) -> None:
        self._routes.deliver(message, receipt)
        stray = self._routes.stray(message.topic)
        if stray and self._online:
            log.debug("unsubscribes from what an earlier run has left in the session, by %s", message.topic)
            for filters in stray:
                self._client.unsubscribe(list(filters))

    def _acknowledge(self, packet: int, qos: int) -> None:
        if self._client.is_connected():
            self._client.ack(packet, qos)

    def _handle_plain(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as paho's
        message = Inbound(topic, payload, retained)
        if self._routes.patient(topic):
            # At once, which saves a turn of the event loop; who is patient only notes it.
            self._wire.unhurried()
            self._deliver(message)
        else:
            self._loop.call_soon(self._deliver, message)
