"""What the device says of itself, retained: status, health, telemetry, info."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable

from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.state import Availability, Health, Info, StateDocument, Telemetry
from edgeassist.protocol.topics import Topics

log = logging.getLogger(__name__)

# Between two health messages, however much happens, but for what `changed` says at once.
LEAST_INTERVAL_S = 1.0
# How soon a wrong status is contradicted, and how much later each further time, against somebody who insists;
# after a while without, at once again.
FIRST_DENIAL_S = 0.1
DENIAL_GROWTH = 4
MAX_DENIAL_S = 30.0
CALM_S = 60.0


class Reporter(Gateway):
    """Publishes what its sources say, on a change and at an interval.

    A report that could not go out is not kept: the next connection begins with fresh ones. The status is not
    ours alone: the will of a former connection of ours may come after our `online`, a daemon of the same name
    says `offline` when it stops, and anybody may clear it. So it is listened to, and said again where it is
    wrong.

    Args:
        topics: This device's.
        interval_s: Seconds between two reports; a reload replaces it.
        broker: Takes them.
        health: How the device is, now.
        telemetry: What it has done.
        info: What it is.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        topics: Topics,
        interval_s: float,
        broker: Link,
        *,
        health: Callable[[], Health],
        telemetry: Callable[[], Telemetry],
        info: Callable[[], Info],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._interval_s = interval_s
        self._broker = broker
        self._health = health
        self._telemetry = telemetry
        self._info = info
        self._clock = clock
        self._changed = asyncio.Event()
        self._at_once = asyncio.Event()
        self._closed = False
        self._denial: asyncio.TimerHandle | None = None
        self._denial_s = FIRST_DENIAL_S
        self._denied_at = -math.inf

    def start(self) -> None:
        """Listen to what is said of our status, where the broker lets us."""
        # Not at QoS 1: what the broker kept for us is old news.
        self._broker.subscribe(Subscription(self._topics.status, qos=0, optional=True), self._hear_status)

    def connected(self) -> None:
        """Begin a connection with fresh reports."""
        self.say_all()

    def say_all(self) -> None:
        """Say all of it, status first; nothing after `close`."""
        self._say_online()
        self.say_info()
        self._report()

    def changed(self, *, at_once: bool = False) -> None:
        """Note that something in `health` is different now.

        Args:
            at_once: Whether to say so however soon after the last time: only for what happens rarely.
        """
        self._changed.set()
        if at_once:
            self._at_once.set()

    def apply(self, interval_s: float) -> None:
        """Report at another interval, from the next report on."""
        self._interval_s = interval_s

    def say_health(self) -> None:
        """Say how the device is, now."""
        self._say(self._topics.health, self._health())

    def say_info(self) -> None:
        """Say what the device is, now."""
        self._say(self._topics.info, self._info())

    async def run(self) -> None:
        """Report for ever."""
        last_telemetry = self._clock()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._changed.wait()
            self._changed.clear()
            self._at_once.clear()
            if self._clock() - last_telemetry >= self._interval_s:
                last_telemetry = self._clock()
                self._say_online()
                self._report()
            else:
                self.say_health()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAST_INTERVAL_S):
                    await self._at_once.wait()

    def stopping(self) -> None:
        """Say how the device is while it stops."""
        self.say_health()

    def close(self) -> None:
        """Say that the device is offline, and nothing after it."""
        self._closed = True
        self._forget_denial()
        self._broker.publish(status_message(self._topics, Availability.OFFLINE))

    # --- the status ----------------------------------------------------------------------------------------

    def _say_online(self) -> None:
        if self._broker.connected and not self._closed:
            self._broker.publish(status_message(self._topics, Availability.ONLINE))

    def _hear_status(self, message: Inbound) -> None:
        """Contradict what is wrong; what the connection begins with is older than our first word."""
        if message.payload == Availability.ONLINE.value.encode():
            self._forget_denial()
        elif not (message.retained or self._closed or self._denial):
            now = self._clock()
            if now - self._denied_at > CALM_S:
                self._denial_s = FIRST_DENIAL_S
            self._denial = asyncio.get_running_loop().call_later(self._denial_s, self._deny)
            self._denied_at = now + self._denial_s
            self._denial_s = min(self._denial_s * DENIAL_GROWTH, MAX_DENIAL_S)

    def _deny(self) -> None:
        self._denial = None
        log.info("%s was not %r: said again", self._topics.status, Availability.ONLINE.value)
        self._say_online()

    def _forget_denial(self) -> None:
        if self._denial is not None:
            self._denial.cancel()
            self._denial = None

    # -------------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        self.say_health()
        self._say(self._topics.telemetry, self._telemetry())

    def _say(self, topic: str, document: StateDocument) -> None:
        if self._broker.connected and not self._closed:
            message = None
            for payload in reversed(document.payloads()):
                message = Outbound(topic, payload, qos=1, retain=True, shorter=message)
            if message is not None:
                self._broker.publish(message)


def status_message(topics: Topics, availability: Availability) -> Outbound:
    """Return the message that says whether the device is there; also the will's."""
    return Outbound(topics.status, availability.value.encode(), qos=1, retain=True)
