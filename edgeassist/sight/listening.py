"""Listens to devices, and to the boxes of a fleet, and keeps what is known of each."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterable
from functools import partial

from edgeassist.broker import BrokerOptions
from edgeassist.client.connection import Connection
from edgeassist.errors import BrokerError
from edgeassist.protocol.fleet import MOST_BOXES, BoxState, parse_box
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.topics import FleetTopics, Topics
from edgeassist.sight.box import Box
from edgeassist.sight.reading import EndSeen, RequestsSeen

# What is retained comes at once; after so long without any more it has all come.
_QUIET_S = 0.4
_SETTLE_S = 5.0
_LISTED = 32
_LIST_WAIT_S = 2.0
# A device that does not answer, or may not be asked, is not asked for ever.
_LIST_ATTEMPTS = 3
# The head of an event tells whether it is an end: an id has at most 64 characters.
_HEAD = 128
_END = re.compile(rb'"type":\s*"(?:done|error)"')


class Sight(Connection):
    """A connection that knows devices. An async context manager, as `Connection`.

    Args:
        options: Where the broker is; the client id should be unique.
        devices: The topics of those to look at, at least one.
        fleet: The topics of the fleet whose boxes are looked at as well; None: none.
        connect_s: How long to try to connect at first.
        ends: Whether to hear how all requests end, where the broker lets us: what is on the answers' topics.
        clock: Seconds of a monotonic clock.

    Attributes:
        problem: Why there is no connection; None while there is one.
        on_change: Called when something may be different from before.
    """

    def __init__(
        self,
        options: BrokerOptions,
        devices: Iterable[Topics],
        *,
        fleet: FleetTopics | None = None,
        connect_s: float = 5.0,
        ends: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        first, *others = devices
        self._clock = clock
        self._ends = ends
        self._heard_at = clock()
        self._boxes: dict[str, Box] = {}
        self._left_out: set[str] = set()
        self._unanswered: dict[str, int] = {}
        self.problem: str | None = None
        self.on_change: Callable[[], None] = lambda: None
        super().__init__(options, first, connect_s=connect_s)
        # The connection listens to its own device's state by itself.
        self._look_at(first, state=False)
        for topics in others:
            self._look_at(topics)
        if fleet is not None:
            self._listen(fleet.box("+"), partial(self._hear_member, fleet), optional=True)
            self._listen_to_ends(fleet, None)

    @property
    def boxes(self) -> list[Box]:
        """What is known of each, in the order of their names."""
        return sorted(self._boxes.values(), key=lambda box: box.device)

    @property
    def left_out(self) -> int:
        """How many boxes of the fleet are not among them, because there are too many."""
        return len(self._left_out)

    async def settle(self) -> None:
        """Wait until what the broker keeps has been heard."""
        self._heard_at = self._clock()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                while (left := self._heard_at + _QUIET_S - self._clock()) > 0:
                    await asyncio.sleep(left)

    async def list_requests(self, box: Box) -> None:
        """Ask a box what runs and waits, if it can say so and something does; waits for its answer."""
        topics = Topics(self.topics.base, box.device)
        silent = self._unanswered.get(box.root, 0)
        busy = box.health is not None and (box.health.running or box.health.queued)
        able = box.info is not None and box.info.takes("requests")
        if not (self.connected and busy and able and box.online) or silent >= _LIST_ATTEMPTS:
            return
        try:
            answer = await self._give(
                "requests", topics.command("requests"), _LIST_WAIT_S, {"limit": _LISTED}
            )
        except BrokerError:
            self._unanswered[box.root] = silent + 1
            return
        self._unanswered[box.root] = 0
        ok = answer.status == "ok" and answer.data is not None
        box.hear_requests(RequestsSeen.model_validate(answer.data) if ok else None, self._clock())
        self.on_change()

    # --- what is heard -------------------------------------------------------------------------------------

    def _look_at(self, topics: Topics, *, state: bool = True) -> Box:
        box = self._boxes[topics.root] = Box(topics.device, topics.root)
        if state:
            for topic in (topics.status, topics.health, topics.telemetry, topics.info):
                self._listen(topic, self._take_state, optional=True)
            self._listen(topics.response("+"), self._take_response, optional=True)
        self._listen(topics.watch_filter, partial(self._hear_watch, box), optional=True)
        self._listen_to_ends(topics, box)
        return box

    def _listen_to_ends(self, topics: Topics, box: Box | None) -> None:
        """Hear ends: those of one box, or of a fleet, where each names its box."""
        if self._ends:
            for filter_ in (topics.reply("+"), topics.reply("+", "+")):
                heard = partial(self._hear_answer, box)
                self._listen(filter_, heard, optional=True, qos=0, patient=True)

    def _take_state(self, message: Inbound) -> None:
        root, _, name = message.topic.rpartition("/")
        box, now = self._boxes[root], self._clock()
        if root == self.topics.root:
            super()._take_state(message)
        match name:
            case "status":
                box.hear_status(message.payload, now)
            case "health":
                box.hear_health(message.payload, now, retained=message.retained)
            case "telemetry":
                box.hear_telemetry(message.payload, now, retained=message.retained)
            case _:
                box.hear_info(message.payload)
        self._heard()

    def _hear_watch(self, box: Box, message: Inbound) -> None:
        box.hear_watch(message.topic.rpartition("/")[2], message.payload)
        self._heard()

    def _hear_answer(self, box: Box | None, message: Inbound) -> None:
        # Most of what comes here are chunks, of which nothing is read.
        if not _END.search(message.payload[:_HEAD]) or (end := EndSeen.read(message.payload)) is None:
            return
        if box is None:
            box = self._boxes.get(f"{self.topics.base}/{end.device}")
        if box is not None:
            box.hear_end(end, self._clock())
            self.on_change()

    def _hear_member(self, fleet: FleetTopics, message: Inbound) -> None:
        self._heard()
        state = parse_box(message.payload)
        if state is None or message.topic != fleet.box(state.device):
            return
        box = self._boxes.get(state.root) or self._join(state)
        if box is not None:
            box.member = state

    def _join(self, state: BoxState) -> Box | None:
        # Only where a device of this name has its topics: a state document makes nobody listen elsewhere.
        topics = Topics(self.topics.base, state.device)
        if state.root != topics.root:
            return None
        if len(self._boxes) >= MOST_BOXES:
            if len(self._left_out) < MOST_BOXES:
                self._left_out.add(state.device)
            return None
        return self._look_at(topics)

    def _heard(self) -> None:
        self._heard_at = self._clock()
        self.on_change()

    def _up(self) -> None:
        super()._up()
        self.problem = None
        self.on_change()

    def _down(self, reason: str) -> None:
        super()._down(reason)
        self.problem = reason
        self.on_change()
