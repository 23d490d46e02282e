"""Ends that their requesters may have missed, because a connection broke around them. Sans-I/O.

A broker that dies takes the sessions of most clients with it, and this device is back before they are: what
it says then, it says to nobody. No broker tells; so what ended around a break is kept, to be said again.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from edgeassist.protocol.events import Done, Failed
from edgeassist.serving.sink import OnSettled

# What the broker acknowledged so shortly before the connection broke may not have left it.
BEFORE_S = 2.0
# A broker that comes back brings prompts that it kept, whose requesters are not back yet.
KEPT_PROMPTS_S = 5.0
# How many ends are kept, of how many bytes, and for how long: a requester gives up as well.
MOST = 1024
MOST_BYTES = 4 << 20
MOST_AGE_S = 900.0
# How often one is said again that somebody may have heard, over all connections; and one that nobody heard,
# which is two whole schedules.
MOST_TIMES = 4
MOST_TIMES_UNHEARD = 12
_FRAME_BYTES = 512


class Again(NamedTuple):
    """A time at which ends are said again.

    Attributes:
        after_s: Since the connection is back.
        outage_s: It is for all ends where the connection was away for so long, and else for those that
            nobody heard, as the broker said.
    """

    after_s: float
    outage_s: float


# By when clients come back that wait as their libraries do by default. After 1 s: mqtt.js, libmosquitto, and
# paho, which waits twice as long after each failure, up to 120 s. After 5 s: PubSubClient's examples. After
# 10 s: ESP-IDF, Home Assistant, Tasmota. After 15 s: Node-RED. That somebody heard an end proves nothing: one
# who records all topics may be back before who asked.
SCHEDULE = (
    Again(3.0, 0.0),
    Again(8.0, math.inf),
    Again(13.0, math.inf),
    Again(20.0, 0.0),
    Again(60.0, 20.0),
    Again(130.0, 60.0),
)


class Time(NamedTuple):
    """When to say ends again, in seconds of the clock, and whether all of them."""

    at: float
    all: bool


class Speaker(Protocol):
    """Says the end of one request, in the form that was asked for."""

    @property
    def key(self) -> tuple[str, str]:
        """Where to, and the request's id: an end is void once another request has both."""
        ...

    @property
    def asked_at(self) -> float:
        """When the request came."""
        ...

    @property
    def bare(self) -> bool:
        """Whether what it says can't be marked as a repeat."""
        ...


Who = TypeVar("Who", bound=Speaker)


@dataclass(slots=True, eq=False)
class Said(Generic[Who]):
    """An end that was said.

    Attributes:
        speaker: Who said it, and can say it again.
        at: When.
        settled_at: When the broker had it, or it was dropped; None before.
        times: How often it was said again.
        nobody: Whether the broker said of the last time that nobody heard it.
        heard: Whether a broker that tells has not said that.
        delivered: Whether the broker had it the last time.
        last: Whether that is all: it is not said again.
        on_heard: Called once when it is not kept any longer, with whether it was delivered.
    """

    speaker: Who
    end: Done | Failed
    at: float
    on_heard: OnSettled | None = None
    settled_at: float | None = None
    times: int = 0
    nobody: bool = False
    heard: bool = False
    delivered: bool = False
    last: bool = False

    def let_go(self, *, heard: bool) -> None:
        """Tell, once, that it is not kept any longer."""
        told, self.on_heard = self.on_heard, None
        if told is not None:
            told(heard)

    def heard_by(self, now: float) -> bool:
        """Whether the broker has had it for so long that it has given it on."""
        return self.settled_at is not None and now - self.settled_at > BEFORE_S

    @property
    def size(self) -> int:
        """Its bytes, roughly."""
        calls = self.end.tool_calls if isinstance(self.end, Done) else ()
        return _FRAME_BYTES + len(self.end.text) + sum(len(call.function.arguments) for call in calls)


@dataclass(slots=True)
class _Kept(Generic[Who]):
    """Ends by key, the oldest first, bounded in number and bytes."""

    entries: OrderedDict[tuple[str, str], Said[Who]] = field(default_factory=OrderedDict)
    size: int = 0

    def add(self, said: Said[Who]) -> int:
        """Keep it, in the place of an earlier one of its key; return how many had to go for it."""
        if self.entries.get(said.speaker.key) is said:
            return 0
        self.drop(said.speaker.key, heard=True)
        self.entries[said.speaker.key] = said
        self.size += said.size
        gone = 0
        while len(self.entries) > MOST or (self.size > MOST_BYTES and len(self.entries) > 1):
            self.drop(next(iter(self.entries)), heard=False)
            gone += 1
        return gone

    def take(self, key: tuple[str, str]) -> Said[Who] | None:
        """Take one out."""
        said = self.entries.pop(key, None)
        if said is not None:
            self.size -= said.size
        return said

    def drop(self, key: tuple[str, str], *, heard: bool) -> None:
        """Let one go."""
        if (said := self.take(key)) is not None:
            said.let_go(heard=heard)


class Unheard(Generic[Who]):
    """Keeps ends that may have been missed; times are seconds of one monotonic clock.

    Args:
        now: When it begins, without a connection.

    Attributes:
        forgotten: How many ends were dropped because too many were kept.
    """

    def __init__(self, now: float) -> None:
        self._down_since: float | None = now
        self._had_connection = False
        # A request that came before this may end while its requester is away.
        self._asked_before = -math.inf
        # Until then any end of these counts, and until later one that nobody heard.
        self._until = self._horizon = -math.inf
        self._recent: _Kept[Who] = _Kept()
        self._kept: _Kept[Who] = _Kept()
        # Whether this broker says so where nobody hears a message.
        self._tells = False
        self.forgotten = 0

    def __len__(self) -> int:
        """How many ends are kept to be said again."""
        return len(self._kept.entries)

    def asked(self, key: tuple[str, str]) -> None:
        """Note that a request has come: what an earlier one of that key ended in is void."""
        self._recent.drop(key, heard=True)
        self._kept.drop(key, heard=True)

    def said(
        self, speaker: Who, end: Done | Failed, now: float, on_heard: OnSettled | None = None
    ) -> Said[Who]:
        """Note an end that goes out."""
        said = Said(speaker, end, now, on_heard)
        away = now < self._until and speaker.asked_at < self._asked_before
        # Before the first connection, only what an earlier run has said is in doubt.
        if away or (self._down_since is not None and (self._had_connection or end.repeat)):
            self._recent.drop(speaker.key, heard=True)
            self._keep(said)
        else:
            self._forget_first(now)
            self._recent.add(said)
        return said

    def unheard(self, said: Said[Who], now: float) -> None:
        """Note that nobody heard an end; `settled` follows."""
        self._tells = said.nobody = True
        if now < self._horizon and said.speaker.asked_at < self._asked_before:
            self._recent.take(said.speaker.key)
            if not said.last:
                self._keep(said)

    def settled(self, said: Said[Who], now: float, *, delivered: bool = True) -> None:
        """Note that the broker has an end, or will not get it."""
        said.settled_at, said.delivered = now, delivered
        said.heard = delivered and self._tells and not said.nobody
        if said.last:
            said.let_go(heard=delivered)

    def disconnected(self, now: float) -> None:
        """Note that the connection broke, or is still away."""
        if self._down_since is not None:
            return
        self._down_since = now
        self.forget_heard(now)
        recent, self._recent = self._recent, _Kept()
        for said in recent.entries.values():
            self._keep(said)

    def connected(self, now: float) -> list[Time]:
        """Note that the connection is back; return at which times to say again what is `due`."""
        outage = 0.0 if self._down_since is None else now - self._down_since
        times = [Time(now + again.after_s, outage >= again.outage_s) for again in SCHEDULE]
        if not self._had_connection:
            # What an earlier run has said as well is said at once, and as after this break, and that is all.
            for said in self._kept.entries.values():
                said.times = MOST_TIMES - sum(time.all for time in times)
        self._asked_before = now + KEPT_PROMPTS_S
        # Who asked a device that was just started need not have been away: only what nobody heard counts.
        self._until = max(time.at for time in times if time.all) if self._had_connection else -math.inf
        self._horizon = times[-1].at
        self._down_since, self._had_connection = None, True
        return times

    def due(self, now: float, *, everyone: bool, over: bool, last: bool) -> Iterator[Said[Who]]:
        """Yield the ends to say again, each as long as it is not void.

        Args:
            now: When.
            everyone: Whether all of them, or those that nobody heard.
            over: Whether no more times for all of them follow.
            last: Whether no more times follow at all.
        """
        for key, said in list(self._kept.entries.items()):
            if self._kept.entries.get(key) is not said:
                continue
            enough = said.times >= (MOST_TIMES_UNHEARD if said.nobody else MOST_TIMES)
            if enough or now - said.at > MOST_AGE_S or (said.heard and said.speaker.bare):
                self._kept.drop(key, heard=said.delivered)
            elif everyone or said.nobody:
                said.times += 1
                said.nobody = said.heard = False
                said.settled_at = None
                said.last = last
                if last:
                    self._kept.take(key)
                yield said
            elif last or (over and said.settled_at is not None):
                self._kept.drop(key, heard=said.delivered)

    def forget_heard(self, now: float) -> bool:
        """Let go of what the broker has had so long that it has given it on; False once nothing is left."""
        for key, said in list(self._recent.entries.items()):
            if said.heard_by(now):
                self._recent.drop(key, heard=said.delivered)
        return bool(self._recent.entries)

    def _forget_first(self, now: float) -> None:
        """Let go of those that came first, which costs little for each that comes."""
        while self._recent.entries and (first := next(iter(self._recent.entries.values()))).heard_by(now):
            self._recent.drop(first.speaker.key, heard=first.delivered)

    def close(self) -> None:
        """Let go of what was said without a break, or have it let go when the broker has it."""
        recent, self._recent = self._recent, _Kept()
        for said in recent.entries.values():
            said.last = True
            if said.settled_at is not None:
                said.let_go(heard=said.delivered)

    def _keep(self, said: Said[Who]) -> None:
        self.forgotten += self._kept.add(said)
