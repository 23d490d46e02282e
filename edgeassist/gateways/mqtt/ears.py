"""Which filters watches subscribe to, and which of their inputs a message is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from edgeassist.gateways.link import Link, Route
from edgeassist.protocol.filters import covers, levels_of, matches
from edgeassist.protocol.packets import Inbound, Subscription

# How many topics' ways are kept.
MAX_WAYS = 1024

# Called with the message, and the index of the input.
Hear = Callable[[Inbound, int], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """A filter that somebody listens to.

    Attributes:
        owner: The watch's name.
        index: Which of its inputs.
        hear: Is called with each message; of another watch another one, which hears retained messages anew.
    """

    filter: str = field(repr=False)
    owner: str
    index: int
    hear: Hear


@dataclass(slots=True)
class _Ear:
    """One subscription, and for whom it is."""

    wishes: list[Wish]
    ways: dict[str, list[Wish]] = field(default_factory=dict)
    route: Route | None = None

    def hear(self, message: Inbound) -> None:
        """Hand a message on."""
        ways = self.ways.get(message.topic)
        if ways is None:
            parts = message.topic.split("/")
            ways = [wish for wish in self.wishes if matches(levels_of(wish.filter), parts)]
            if len(self.ways) >= MAX_WAYS:
                self.ways.clear()
            self.ways[message.topic] = ways
        for wish in ways:
            wish.hear(message, wish.index)


class Ears:
    """The subscriptions of all watches.

    A broker may deliver a message once for each filter of a connection that matches, so no filter is
    subscribed to that another one covers.

    Args:
        broker: Takes the subscriptions and brings the messages.
    """

    def __init__(self, broker: Link) -> None:
        self._broker = broker
        self._ears: dict[str, _Ear] = {}

    def listen(self, wishes: Iterable[Wish]) -> None:
        """Listen for these, and for nothing else from now on."""
        wanted = _gathered(list(wishes))
        old, self._ears = self._ears, {}
        for topic_filter, ours in wanted.items():
            before = old.pop(topic_filter, None)
            if before is not None and set(ours) <= set(before.wishes):
                before.wishes = ours
                before.ways.clear()
                self._ears[topic_filter] = before
                continue
            ear = self._ears[topic_filter] = _Ear(ours)
            alias = f"a topic of the watch {ours[0].owner!r}"
            # At QoS 0: nothing is acknowledged, nor kept by the broker while we are away.
            subscription = Subscription(topic_filter, qos=0, optional=True, alias=alias, patient=True)
            ear.route = self._broker.subscribe(subscription, ear.hear)
            if before is not None and before.route is not None:
                before.route.close()
        for ear in old.values():
            if ear.route is not None:
                ear.route.close()


def _gathered(wishes: list[Wish]) -> dict[str, list[Wish]]:
    """Return the filters to subscribe to, each with the wishes that it serves."""
    filters = dict.fromkeys(wish.filter for wish in wishes)
    widest = [
        each
        for each in filters
        if not any(covers(other, each) for other in filters if other != each and not covers(each, other))
    ]
    gathered: dict[str, list[Wish]] = {each: [] for each in widest}
    for wish in wishes:
        gathered[next(each for each in widest if covers(each, wish.filter))].append(wish)
    return gathered
