"""Ends that may have been missed are said again, when the broker and its clients are back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.gateways.mqtt.replies import Replies, Told
from edgeassist.gateways.mqtt.unheard import BEFORE_S, Said, Time, Unheard
from edgeassist.protocol.events import Done, Failed
from edgeassist.serving.sink import OnSettled

log = logging.getLogger(__name__)

# So many are on their way to the broker at once: far fewer than keep a stream waiting.
MOST_UNDER_WAY = 8
# How soon a connection that has enough to send is looked at again, and how long the broker may take.
LOOK_AGAIN_S = 0.05
SETTLE_S = 30.0


class Repeats(Gateway):
    """Says them again, a few at a time, behind what streams.

    Args:
        broker: Takes them.
        clock: Seconds of the monotonic clock.
    """

    def __init__(self, broker: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._unheard: Unheard[Replies] = Unheard(clock())
        self._times: list[Time] = []
        # Set when a connection begins or ends.
        self._changed = asyncio.Event()
        self._under_way = 0
        self._settled = asyncio.Event()
        # Set when an end was said of which somebody waits to hear that it was heard.
        self._news = asyncio.Event()

    def asked(self, topic: str, request_id: str) -> float:
        """Note that a request has come that is answered on that topic; return when that was."""
        self._unheard.asked((topic, request_id))
        return self._clock()

    def said(self, replies: Replies, end: Done | Failed, on_heard: OnSettled | None = None) -> Told:
        """Note an end (`OnEnd`)."""
        said = self._unheard.said(replies, end, self._clock(), on_heard)
        if on_heard is not None:
            self._news.set()
        return Told(
            lambda delivered: self._unheard.settled(said, self._clock(), delivered=delivered),
            lambda: self._unheard.unheard(said, self._clock()),
        )

    def connected(self) -> None:
        """Plan when to say again what was said meanwhile."""
        self._times = self._unheard.connected(self._clock())
        self._changed.set()

    def disconnected(self) -> None:
        """Keep what was said a moment ago."""
        self._unheard.disconnected(self._clock())
        self._times = []
        self._changed.set()

    def close(self) -> None:
        """Take what was said a moment ago for heard: the broker stays."""
        self._unheard.close()

    async def run(self) -> None:
        """Say them again, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._let_go(), name="heard")
            while True:
                at = self._times[0].at if self._times else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if at is None else max(0.0, at - self._clock())):
                        await self._changed.wait()
                if self._changed.is_set():
                    self._changed.clear()
                elif self._times:
                    await self._say_again(everyone=self._times.pop(0).all)

    async def _let_go(self) -> None:
        """Have those who wait for it told of ends that were heard, a little later, and for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._unheard.forget_heard(self._clock()):
                await asyncio.sleep(BEFORE_S / 2)

    async def _say_again(self, *, everyone: bool) -> None:
        count = 0
        over = not any(time.all for time in self._times)
        due = self._unheard.due(self._clock(), everyone=everyone, over=over, last=not self._times)
        # What is asked meanwhile makes an end void, so the next is chosen when there is room for it.
        while await self._has_room() and (said := next(due, None)) is not None:
            self._under_way += 1
            said.speaker.say_again(said.end, self._told_again(said))
            count += 1
        if count:
            log.info("said again what ended around a broken connection: %d", count)

    async def _has_room(self) -> bool:
        """Wait until the connection has room for one more; False if it broke, or the broker takes nothing."""
        until = self._clock() + SETTLE_S
        while self._broker.congested or self._under_way >= MOST_UNDER_WAY:
            self._settled.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._settled.wait()
            if self._changed.is_set() or self._clock() > until:
                return False
        return not self._changed.is_set()

    def _told_again(self, said: Said[Replies]) -> Told:
        def settled(delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled` is called
            self._under_way -= 1
            self._settled.set()
            self._unheard.settled(said, self._clock(), delivered=delivered)

        return Told(settled, lambda: self._unheard.unheard(said, self._clock()))
