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
# How often what nobody acts on is said, such as how many run.
REFRESH_S = 5.0
# Between two denials of what others say of this box.
DENIAL_S = 1.0


def least_s(others: int) -> float:
    """Return the least time between two words of a box that so many others hear."""
    return max(LEAST_ALONE_S, LEAST_S * others)


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._identity = identity
        self._link = link
        self._now = now
        self._load = load
        self._movable = movable
        self._clock = clock
        self._said: BoxState | None = None
        self._said_at = 0.0
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
        state, said = self._state(), self._said
        if said is not None and state.model_copy(update={"since": said.since}) == said:
            return None
        urgent = said is None or _acted_on(state) != _acted_on(said)
        least = least_s(others) if urgent else REFRESH_S
        left = self._said_at + least - self._clock()
        if said is not None and left > 0:
            return left
        if said is not None and state.state is not said.state:
            self._since = time.time()
            state = self._state()
        self._link.publish(state_message(self._topics, state))
        self._said, self._said_at = state, self._clock()
        return None

    def close(self, *, empty: bool) -> None:
        """Say the last word.

        Args:
            empty: Whether nothing stands in the session any more.
        """
        self._closed = True
        last = self._identity.state(BoxCondition.OFFLINE, since=round(time.time(), 3), empty=empty)
        self._link.publish(state_message(self._topics, last))

    def _state(self) -> BoxState:
        load = self._load()
        condition, reason = self._now()
        online = condition is BoxCondition.ONLINE
        return self._identity.state(
            condition,
            load,
            reason=words(reason),
            room=load.room if online else 0,
            movable=self._movable(),
            mqtt=self._link.protocol,
            since=round(self._since, 3),
        )


def _acted_on(state: BoxState) -> tuple[object, ...]:
    """Return what of a state other boxes act on."""
    drained = state.state is BoxCondition.DRAINING and not (state.running or state.waiting)
    return (
        *(state.state, state.reason, state.model, state.slots),
        *(state.room > 0, state.movable > 0, drained),
    )
