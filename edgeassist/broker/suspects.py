"""Topics and sizes of messages that made a broker end the connection. Sans-I/O; time is passed in.

A broker of MQTT 3.1.1 has no other way to refuse a message, and some of MQTT 5 take it too. The connection's
end does not say which message it was, so that what was on its way is only in doubt, and tried again alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# How long a verdict holds: the broker may be mended, and a connection may end by chance.
REMEMBERED_S = 3600.0
MOST_DOUBTED = 256
MOST_SHUNNED = 64
# A message of so many bytes did not end a connection for its size.
SMALL_BYTES = 256
# So many shunned topics of one parent, and the whole parent is shunned: requesters invent topics.
SIBLINGS = 3


class _Shunned(NamedTuple):
    until: float
    least_bytes: int


@dataclass(slots=True)
class Suspects:
    """What is not published, and what is published with nothing beside it.

    Shunned topics are kept as they are, shunned parents with a slash in the end.
    """

    _limit: int | None = None
    _limit_until: float = 0.0
    _doubted: dict[str, None] = field(default_factory=dict)
    _shunned: dict[str, _Shunned] = field(default_factory=dict)

    def doubt(self, topic: str) -> None:
        """Note that a message there may have ended the connection."""
        self._doubted[topic] = None
        if len(self._doubted) > MOST_DOUBTED:  # the oldest is a reply topic that is used no more
            del self._doubted[next(iter(self._doubted))]

    def doubts(self, topic: str) -> bool:
        """Whether the next message there goes out with nothing beside it."""
        return topic in self._doubted

    def clear(self, topic: str) -> None:
        """Note that the broker has taken a message there."""
        self._doubted.pop(topic, None)

    def shun(self, topic: str, size: int, now: float, *, alone: bool = False) -> str:
        """Note that a message there ended the connection; return what is shunned now, for a person.

        A large one is shunned by its size at first; the next smaller one there is in doubt.

        Args:
            topic: Where it was published.
            size: Its bytes; 0 if they can't be the reason.
            now: Monotonic seconds.
            alone: Whether it says nothing of other topics with the same parent.
        """
        self._forget(now)
        if size > SMALL_BYTES and topic not in self._shunned:
            self._shunned[topic] = _Shunned(now + REMEMBERED_S, size)
            self._bound()
            self.doubt(topic)
            return f"{topic}, of {size} bytes or more,"
        self._doubted.pop(topic, None)
        place = topic
        while True:
            self._shunned[place] = _Shunned(now + REMEMBERED_S, 0)
            parent = _parent(place)
            siblings = [
                each for each, why in self._shunned.items() if _parent(each) == parent and not why.least_bytes
            ]
            if alone or not parent or len(siblings) < SIBLINGS:
                break
            for each in siblings:
                del self._shunned[each]
            place = parent
        self._bound()
        return place if place == topic else f"{place}#"

    def shuns(self, topic: str, size: int, now: float) -> bool:
        """Whether nothing of this size is to be published there."""
        self._forget(now)
        place = topic
        while place:
            if place in self._shunned and size >= self._shunned[place].least_bytes:
                return True
            place = _parent(place)
        return False

    @property
    def active(self) -> bool:
        """Whether anything is doubted, shunned or too large."""
        return bool(self._doubted or self._shunned or self._limit)

    def refused(self, size: int, now: float) -> None:
        """Note that a message of this size was too large."""
        self._limit = size - 1 if self._limit is None else min(self._limit, size - 1)
        self._limit_until = now + REMEMBERED_S

    def takes(self, size: int, now: float) -> bool:
        """Whether the broker may take a message of this size."""
        if self._limit is not None and now >= self._limit_until:
            self._limit = None
        return self._limit is None or size <= self._limit

    def forget_limit(self) -> None:
        """Forget what is known of sizes: the broker has another limit now."""
        self._limit = None

    def _bound(self) -> None:
        while len(self._shunned) > MOST_SHUNNED:
            del self._shunned[next(iter(self._shunned))]

    def _forget(self, now: float) -> None:
        for place in [place for place, why in self._shunned.items() if why.until <= now]:
            del self._shunned[place]


def _parent(place: str) -> str:
    """Return the parent of a topic, with a slash in the end; empty if it has none."""
    above, slash, _ = place.rstrip("/").rpartition("/")
    return above + slash
