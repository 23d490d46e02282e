"""What the device says of itself, retained: status, health, telemetry, info."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.state import Availability, Health, Info, StateDocument, Telemetry
from edgeassist.protocol.topics import Topics

# Between two health messages, however much happens.
LEAST_INTERVAL_S = 1.0


class Reporter(Gateway):
    """Publishes what its sources say, on a change and at an interval.

    A report that could not go out is not kept: the next connection begins with fresh ones.

    Args:
        topics: This device's.
        interval_s: Seconds between two reports; a reload replaces it.
        broker: Takes them.
        health: How the device is, now.
        telemetry: What it has done.
        info: What it is.
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
    ) -> None:
        self._topics = topics
        self._interval_s = interval_s
        self._broker = broker
        self._health = health
        self._telemetry = telemetry
        self._info = info
        self._changed = asyncio.Event()
        self._closed = False

    def connected(self) -> None:
        """Begin a connection with fresh reports."""
        self.say_all()

    def say_all(self) -> None:
        """Say all of it, status first; nothing after `close`."""
        if self._closed:
            return
        self._broker.publish(status_message(self._topics, Availability.ONLINE))
        self.say_info()
        self._report()

    def changed(self) -> None:
        """Note that something in `health` is different now."""
        self._changed.set()

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
        last_telemetry = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._changed.wait()
            self._changed.clear()
            if time.monotonic() - last_telemetry >= self._interval_s:
                last_telemetry = time.monotonic()
                self._report()
            else:
                self.say_health()
            await asyncio.sleep(LEAST_INTERVAL_S)

    def stopping(self) -> None:
        """Say how the device is while it stops."""
        self.say_health()

    def close(self) -> None:
        """Say that the device is offline, and nothing after it."""
        self._closed = True
        self._broker.publish(status_message(self._topics, Availability.OFFLINE))

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
