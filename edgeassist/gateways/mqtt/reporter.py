"""What the device says of itself, retained: status, health, telemetry, info."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel

from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.state import Availability, Health, Info, Telemetry
from edgeassist.protocol.topics import Topics

# Between two health messages, however much happens.
LEAST_INTERVAL_S = 1.0


@dataclass
class Reporter:
    """Publishes what its sources say, on a change and every `interval_s` seconds.

    A report that could not go out is not kept: the next connection begins with fresh ones.
    """

    topics: Topics
    interval_s: float
    publish: Callable[[Outbound], bool]
    connected: Callable[[], bool]
    health: Callable[[], Health]
    telemetry: Callable[[], Telemetry]
    info: Callable[[], Info]
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self) -> None:
        """Something that health tells is different now."""
        self._changed.set()

    def everything(self) -> None:
        """Say all of it, status first; for a new connection."""
        self.status(Availability.ONLINE)
        self._say(self.topics.info, self.info())
        self._report()

    def status(self, availability: Availability) -> None:
        """Say whether the device is there."""
        self.publish(status_message(self.topics, availability))

    def say_health(self) -> None:
        """Say how the device is, now."""
        self._say(self.topics.health, self.health())

    def say_info(self) -> None:
        """Say what the device is, now."""
        self._say(self.topics.info, self.info())

    async def run(self) -> None:
        """Report for ever."""
        last_telemetry = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.interval_s):
                    await self._changed.wait()
            self._changed.clear()
            if time.monotonic() - last_telemetry >= self.interval_s:
                last_telemetry = time.monotonic()
                self._report()
            else:
                self.say_health()
            await asyncio.sleep(LEAST_INTERVAL_S)

    def _report(self) -> None:
        self.say_health()
        self._say(self.topics.telemetry, self.telemetry())

    def _say(self, topic: str, document: BaseModel) -> None:
        if self.connected():
            self.publish(Outbound(topic, document.model_dump_json().encode(), qos=1, retain=True))


def status_message(topics: Topics, availability: Availability) -> Outbound:
    """Return the message that says whether the device is there; also the will's."""
    return Outbound(topics.status, availability.value.encode(), qos=1, retain=True)
