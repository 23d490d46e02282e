"""Watches over MQTT: hears their topics, asks, and publishes what is known, retained."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from edgeassist.errors import ConfigurationError
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.gateways.mqtt.ears import Ears, Hear, Wish
from edgeassist.protocol.decisions import DecisionRequest, Question
from edgeassist.protocol.events import AnyEvent, Done, Failed
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import Topics
from edgeassist.protocol.values import NAME_PATTERN
from edgeassist.protocol.watches import questions_in
from edgeassist.serving.caller import Caller
from edgeassist.serving.sink import OnSettled, Sink
from edgeassist.watching.checks import problems
from edgeassist.watching.document import document_of
from edgeassist.watching.gone import Gone, Past
from edgeassist.watching.options import WatchOptions
from edgeassist.watching.watch import Report, Watch

log = logging.getLogger(__name__)

# A watch looks after itself no more often.
LEAST_S = 0.05
# The wall clock has been set if it differs by more from what it said before.
CLOCK_STEP_S = 2.0


class Asker(Protocol):
    """`serving.requests.Requests`, as far as watches need it."""

    def submit(self, asked: DecisionRequest, caller: Caller, sink: Sink) -> None:
        """Take a request; its end goes to the sink."""
        ...

    def cancel(self, request_id: str, caller: str | None = None) -> bool:
        """End a request."""
        ...


@dataclass(frozen=True, slots=True)
class WatchesOptions:
    """All watches, and the prefix below which Home Assistant is told of devices."""

    watches: tuple[WatchOptions, ...]
    prefix: str


class _Running:
    """One watch at work.

    Attributes:
        said: What was published of it.
        timer: Wakes it.
        request: The id of what it asks.
        hear: Takes its messages.
        closed: Whether it is no more.
    """

    def __init__(self, options: WatchOptions) -> None:
        self.options = options
        self.watch = Watch(options)
        self.said: Report | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.request: str | None = None
        self.closed = False
        self.hear: Hear = lambda _message, _index: None

    @property
    def caller(self) -> Caller:
        return Caller(f"watch/{self.options.name}")


class _Answer:
    """The sink of a watch's request: only how it ends matters."""

    wants_progress = False
    chunk_bytes = 65_536
    escaped = False
    event_bytes = None
    congested = False

    def __init__(self, on_end: Callable[[Done | Failed], None]) -> None:
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()

    def send(
        self, event: AnyEvent, on_settled: OnSettled | None = None, on_heard: OnSettled | None = None
    ) -> None:
        """Pass the end on, not in the caller's stack (`Sink.send`)."""
        if isinstance(event, Done | Failed):
            self._loop.call_soon(self._on_end, event)
            for told in filter(None, (on_settled, on_heard)):
                self._loop.call_soon(told, True)  # noqa: FBT003 - as told


class Watches(Gateway):
    """Runs all watches.

    Args:
        topics: This device's.
        options: A reload replaces them.
        broker: Brings their messages and takes what is known.
        requests: Answers them.
        on_change: Called when there are other watches, or it is known of more that are no more.
        clock: Seconds of a monotonic clock.
        wall: Seconds of Unix time.
    """

    def __init__(
        self,
        topics: Topics,
        options: WatchesOptions,
        broker: Link,
        requests: Asker,
        *,
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._topics = topics
        self._options = options
        self._broker = broker
        self._requests = requests
        self._on_change = on_change
        self._clock = clock
        self._wall = wall
        self._epoch = wall() - clock()
        self._ears = Ears(broker)
        self._running: dict[str, _Running] = {}
        self._past = Past()
        self._stopping = False

    @property
    def questions(self) -> Mapping[str, Mapping[str, Question]]:
        """What is watched: the questions of each watch, by its name."""
        return {watch.name: watch.questions for watch in self._options.watches}

    @property
    def gone(self) -> list[Gone]:
        """What was watched once, as far as that is known, and is no more."""
        return self._past.gone(self.questions)

    def start(self) -> None:
        """Listen to the topics, and to what an earlier daemon left of its watches."""
        self._broker.subscribe(Subscription(self._topics.watch_filter, qos=0, optional=True), self._hear_left)
        self._begin()

    def apply(self, options: WatchesOptions) -> None:
        """Have other watches from now on; those that stay the same keep what they know.

        Raises:
            ConfigurationError: They can't be on this device.
        """
        if found := list(problems(options.watches, self._topics, options.prefix)):
            raise ConfigurationError("\n".join(f"watch: {each}" for each in found))
        old, self._options = self._options, options
        kept = {watch.name: watch for watch in options.watches}
        for watch in old.watches:
            if kept.get(watch.name) != watch:
                self._end(self._running.pop(watch.name))
                self._past.note(watch.name, {name: each.type for name, each in watch.questions.items()})
            if watch.name not in kept:
                self._clear(watch.name)
        self._begin()
        self._on_change()

    def connected(self) -> None:
        """Begin a connection with what is known."""
        self.say_all()

    def say_all(self) -> None:
        """Say what is known of all watches."""
        for running in self._running.values():
            running.said = None
            self._say(running)

    def stopping(self) -> None:
        """Ask nothing more."""
        self._stopping = True
        for running in self._running.values():
            self._forget_timer(running)

    def close(self) -> None:
        """Listen no more: a broker keeps subscriptions for a while, and the next daemon may have others."""
        self._ears.listen([])

    # --- watches come and go -------------------------------------------------------------------------------

    def _begin(self) -> None:
        new = [watch for watch in self._options.watches if watch.name not in self._running]
        for watch in new:
            running = self._running[watch.name] = _Running(watch)
            running.hear = partial(self._hear, running)
        self._ears.listen(
            Wish(each.filter, watch.name, index, self._running[watch.name].hear)
            for watch in self._options.watches
            for index, each in enumerate(watch.inputs)
        )
        for watch in new:
            self._say(self._running[watch.name])

    def _end(self, running: _Running) -> None:
        running.closed = True
        self._forget_timer(running)
        if running.request is not None:
            self._requests.cancel(running.request, running.caller.name)

    def _clear(self, name: str) -> None:
        self._broker.publish(Outbound(self._topics.watch(name), b"", qos=1, retain=True))

    def _hear_left(self, message: Inbound) -> None:
        """Take away what an earlier daemon of this device left of a watch that is no more."""
        if not message.retained or not message.payload:  # our own word, most often
            return
        name = message.topic.rpartition("/")[2]
        if re.fullmatch(NAME_PATTERN, name) is None:
            return
        if name not in self._running:
            log.info("what was known from the watch %r, which is no more, is taken away", name)
            self._clear(name)
        before = self.gone
        self._past.note(name, questions_in(message.payload))
        if self.gone != before:
            self._on_change()

    # --- one watch at work ---------------------------------------------------------------------------------

    def _hear(self, running: _Running, message: Inbound, index: int) -> None:
        if running.watch.hear(
            index, message.topic, message.payload, self._clock(), retained=message.retained
        ):
            self._plan(running)

    def _plan(self, running: _Running) -> None:
        self._forget_timer(running)
        wake = running.watch.next_wake()
        if wake is not None and not (running.closed or self._stopping):
            pause = max(LEAST_S, wake - self._clock())
            running.timer = asyncio.get_running_loop().call_later(pause, self._turn, running)

    def _forget_timer(self, running: _Running) -> None:
        if running.timer is not None:
            running.timer.cancel()
            running.timer = None

    def _turn(self, running: _Running) -> None:
        asked = None if self._stopping else running.watch.turn(self._clock())
        if asked is not None:
            running.request = asked.id
            self._requests.submit(asked, running.caller, _Answer(partial(self._take, running)))
        self._say(running)
        self._plan(running)

    def _take(self, running: _Running, end: Done | Failed) -> None:
        """Take the end of what a watch asked."""
        if running.closed or running.request != end.id:
            return
        running.request = None
        now = self._clock()
        match end:
            case Done(answers=answers) if answers is not None:
                running.watch.answered(answers, now)
            case Done():
                running.watch.failed("internal: the answer has no answers", now)
            case Failed():
                pause = (end.retry_after_ms or 0) / 1000
                running.watch.failed(f"{end.code}: {end.message}", now, retry_after_s=pause)
        self._turn(running)

    def _say(self, running: _Running) -> None:
        report = running.watch.report()
        if report == running.said or not self._broker.connected or self._stopping:
            return
        running.said = report
        epoch = self._wall() - self._clock()
        if abs(epoch - self._epoch) > CLOCK_STEP_S:
            self._epoch = epoch
        topic, message = self._topics.watch(running.options.name), None
        for payload in reversed(document_of(report, running.options, epoch=self._epoch).payloads()):
            message = Outbound(topic, payload, qos=1, retain=True, shorter=message)
        if message is not None:
            self._broker.publish(message)
