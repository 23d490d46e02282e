"""What a box says of itself to its fleet, and when: at once where others would act on it, else seldom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeassist.fleet.load import Load
from edgeassist.gateways.link import Link
from edgeassist.protocol.fleet import BoxCondition, BoxState, words
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.state import PROTOCOL_VERSION
from edgeassist.protocol.topics import FleetTopics

# Between two words of a box, for each box that hears them: so a large fleet says not much more than a small.
LEAST_S = 0.02
LEAST_ALONE_S = 0.1
# What changes may change back in this share of that time, as where a box is full again at once.
SETTLE_SHARE = 0.25
# How often what nobody acts on is said, such as how many run; and for each box that hears it.
REFRESH_S = 5.0
REFRESH_EACH_S = 0.25
# Between two denials of what others say of this box.
DENIAL_S = 1.0


def least_s(others: int) -> float:
    """Return the least time between two words of a box that so many others hear."""
    return max(LEAST_ALONE_S, LEAST_S * others)


def refresh_s(others: int) -> float:
    """Return after how long so many others are told what they don't act on."""
    return max(REFRESH_S, REFRESH_EACH_S * others)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a box is, in its fleet.

    Attributes:
        root: The prefix of its own topics.
        session: Its client id on the connection for the fleet.
        boot_id: Of this run.
        version: Of the daemon.
    """

    device: str
    root: str
    session: str
    boot_id: str
    version: str

    def state(self, condition: BoxCondition, load: Load | None = None, **fields: object) -> BoxState:
        """Return the state document.

        Args:
            condition: Whether it takes requests.
            load: What it has to do; None where nothing is known of that.
            **fields: More of `BoxState`.
        """
        now = Load() if load is None else load
        values: dict[str, object] = {
            "device": self.device,
            "root": self.root,
            "session": self.session,
            "protocol": PROTOCOL_VERSION,
            "boot_id": self.boot_id,
            "version": self.version,
            "state": condition,
            "model": words(now.model),
            "slots": now.slots,
            "running": now.running,
            "waiting": now.waiting,
            "held_back": words(now.held_back),
            **fields,
        }
        return BoxState.model_validate(values)

    def will(self, topics: FleetTopics) -> Outbound:
        """Return what the broker says when the connection breaks."""
        return state_message(topics, self.state(BoxCondition.OFFLINE))


def state_message(topics: FleetTopics, state: BoxState) -> Outbound:
    """Return the message that says how a box is, for as long as nobody says otherwise."""
    return Outbound(topics.box(state.device), state.model_dump_json().encode(), qos=1, retain=True)


class Presence:
    """Says how this box is.

    Args:
        topics: The fleet's.
        identity: Who it is.
        link: Takes what it says.
        now: Returns how it is, and why it takes nothing where it does not.
        load: What it has to do.
        movable: Returns how many requests that wait another box may have.
        moves: Returns whether there is one.
        clock: Seconds of the monotonic clock.
    """

    def __init__(
        self,
        topics: FleetTopics,
        identity: Identity,
        link: Link,
        *,
        now: Callable[[], tuple[BoxCondition, str | None]],
        load: Callable[[], Load],
        movable: Callable[[], int],
        moves: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._identity = identity
        self._link = link
        self._now = now
        self._load = load
        self._movable = movable
        self._moves = moves
        self._clock = clock
        # What was said last; None: nothing yet on this connection.
        self._said: _Now | None = None
        self._said_at = 0.0
        # Since when what others act on is another than was said.
        self._other_since: float | None = None
        self._since = time.time()
        self._closed = False
        self._contradicted = False
        self._contradicted_at = -math.inf

    def again(self) -> None:
        """Say it anew: a connection has begun, or somebody said otherwise."""
        self._said = None

    def contradicted(self) -> None:
        """Note that somebody said otherwise: a will that came late, or another box."""
        self._contradicted = True

    def _deny(self) -> None:
        """Say again how this box is; not more often than each second, as that other one may do the same."""
        now = self._clock()
        if self._contradicted and now - self._contradicted_at > DENIAL_S:
            self._contradicted, self._contradicted_at = False, now
            self.again()

    def say(self, others: int) -> float | None:
        """Say what has changed, if it is time to.

        Args:
            others: How many other boxes hear it.

        Returns:
            In how many seconds it will be time; None where nothing is to be said.
        """
        self._deny()
        if self._closed or not self._link.connected:
            return None
        at, now = self._clock(), self._look()
        due_at = self._due_at(now, at, others)
        if due_at is None or due_at > at:
            return None if due_at is None else due_at - at
        if self._said is not None and now.condition is not self._said.condition:
            self._since = time.time()
        self._link.publish(state_message(self._topics, self._state(now)))
        self._said, self._said_at, self._other_since = now, at, None
        return None

    def _due_at(self, now: _Now, at: float, others: int) -> float | None:
        """Return when to say how this box is, at the latest; None where it has been said."""
        said = self._said
        if said is None:
            return at
        if now.acted_on == said.acted_on:
            self._other_since = None
            return None if now == said else self._said_at + refresh_s(others)
        if self._other_since is None:
            self._other_since = at
        least = least_s(others)
        settled = at if now.condition is not said.condition else self._other_since + SETTLE_SHARE * least
        return max(self._said_at + least, settled)

    def close(self, *, empty: bool) -> None:
        """Say the last word.

        Args:
            empty: Whether nothing stands in the session any more.
        """
        self._closed = True
        last = self._identity.state(BoxCondition.OFFLINE, since=round(time.time(), 3), empty=empty)
        self._link.publish(state_message(self._topics, last))

    def _look(self) -> _Now:
        condition, reason = self._now()
        return _Now(condition, reason, self._load(), self._moves(), self._link.protocol)

    def _state(self, now: _Now) -> BoxState:
        online = now.condition is BoxCondition.ONLINE
        return self._identity.state(
            now.condition,
            now.load,
            reason=words(now.reason),
            room=now.load.room if online else 0,
            movable=self._movable(),
            mqtt=now.mqtt,
            since=round(self._since, 3),
        )


@dataclass(frozen=True, slots=True)
class _Now:
    """How a box is; looked at whenever anything happens, and made a document of only where that is said.

    Attributes:
        condition: Whether it takes requests.
        reason: Why not.
        load: What it has to do.
        movable: Whether another box may have some of what waits.
        mqtt: The version of MQTT that it speaks.
    """

    condition: BoxCondition
    reason: str | None
    load: Load
    movable: bool
    mqtt: str | None

    @property
    def acted_on(self) -> tuple[object, ...]:
        """What of it other boxes act on."""
        load = self.load
        online = self.condition is BoxCondition.ONLINE
        drained = self.condition is BoxCondition.DRAINING and not (load.running or load.waiting)
        return (
            *(self.condition, self.reason, load.model, load.slots),
            *(online and load.room > 0, self.movable, drained),
        )
