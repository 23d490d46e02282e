"""Routes from topic filters to handlers, and what the broker has granted of them. Sans-I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from edgeassist.broker.receipts import Receipt
from edgeassist.protocol.filters import check_filter, filters_of, levels_of, matches
from edgeassist.protocol.packets import Inbound, Subscription

log = logging.getLogger(__name__)

Handler = Callable[[Inbound], None]

# So many connections in a row that end over the first SUBSCRIBE, and what is optional is left out of it.
UNANSWERED = 2
# So many topics without a route are looked into on one connection, with so many filters for each, and so many
# in one UNSUBSCRIBE: some brokers take no more.
MOST_STRAYS = 64
MOST_GUESSES = 192
MOST_UNSUBSCRIBED = 8
# For how many topics it is kept which routes match.
MAX_WAYS = 1024


class Route:
    """A handler that gets the messages of one filter until `close`.

    Args:
        subscription: The filter, and how to subscribe to it.
        handler: Called with each message.
        on_close: Called once, by `close`.
        on_leave: Called once, by `leave`.

    Raises:
        ValueError: It is no topic filter.

    Attributes:
        closed: Whether the handler is called no more.
        left: Whether the broker is to forget the subscription.
    """

    def __init__(
        self,
        subscription: Subscription,
        handler: Handler,
        on_close: Callable[[Route], None],
        on_leave: Callable[[Route], None] = lambda _route: None,
    ) -> None:
        check_filter(subscription.filter)
        self.subscription = subscription
        self.handler = handler
        self.closed = False
        self.left = False
        self._on_close = on_close
        self._on_leave = on_leave
        self._levels = levels_of(subscription.filter)

    def close(self) -> None:
        """Stop: the handler is not called any more, not even with messages that have arrived already.

        The broker is unsubscribed from unless another route has the same filter. Closing twice is harmless.
        """
        if not self.closed:
            self.closed = True
            self._on_close(self)

    def leave(self) -> None:
        """Unsubscribe, now and on each connection, and go on hearing what the broker sends all the same.

        That is what stands in the session already. Other routes of the filter keep the subscription.
        """
        if not (self.left or self.closed):
            self.left = True
            self._on_leave(self)

    @property
    def wanted(self) -> bool:
        """Whether the broker is asked for it."""
        return not (self.left or self.subscription.passive)

    def matches(self, parts: Sequence[str]) -> bool:
        """Whether the filter matches a topic of these levels."""
        return matches(self._levels, parts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The broker's answer to one SUBSCRIBE packet.

    Attributes:
        refused: The refused filters that a route needs, each with the broker's reason.
        spared: The refused filters that all their routes can do without, likewise.
        first: Whether it answers the packet with which the connection began.
    """

    refused: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    first: bool = False


@dataclass(slots=True)
class Routes:
    """The routes of one connection, and the SUBSCRIBE packets that the broker has not answered yet."""

    _routes: list[Route] = field(default_factory=list)
    _pending: dict[int | None, tuple[Subscription, ...]] = field(default_factory=dict)
    _first: int | None = None
    _unanswered: int = 0
    _ways: dict[str, tuple[Route, ...]] = field(default_factory=dict)
    _strays: set[str] = field(default_factory=set)

    def add(self, route: Route) -> None:
        """Let the route hear from now on."""
        self._routes.append(route)
        self._ways.clear()

    def remove(self, route: Route) -> bool:
        """Forget the route; False if another one has the same filter, or nobody has subscribed to it."""
        self._routes.remove(route)
        self._ways.clear()
        return route.wanted and not self._of(route.subscription.filter)

    @property
    def left(self) -> tuple[str, ...]:
        """The filters that the broker is to forget, though they are heard."""
        left = dict.fromkeys(route.subscription.filter for route in self._routes if route.left)
        return tuple(each for each in left if not self._of(each))

    def wanted(self, *, wildcards: bool = True) -> tuple[Subscription, ...]:
        """Return what the broker must be asked for: one subscription for each filter.

        Some brokers refuse a filter by ending the connection. So after UNANSWERED connections that ended so,
        what is optional is left out, and asked for again if as many more do: it was not the reason.

        Args:
            wildcards: Whether it takes filters with wildcards.
        """
        filters = dict.fromkeys(route.subscription.filter for route in self._routes if route.wanted)
        wanted = [self.merged(each) for each in filters if wildcards or not set(each) & set("+#")]
        return tuple(each for each in wanted if not (each.optional and self._sparing))

    def merged(self, topic_filter: str) -> Subscription:
        """Return one subscription for all routes of a filter: the highest QoS, optional if all are."""
        wishes = [route.subscription for route in self._of(topic_filter)]
        optional = all(wish.optional for wish in wishes)
        alias = wishes[0].alias if all(wish.alias is not None for wish in wishes) else None
        return Subscription(topic_filter, max(wish.qos for wish in wishes), optional, alias)

    def deliver(self, message: Inbound, receipt: Receipt | None = None) -> None:
        """Call the handler of every route that matches; one that raises does not keep others from hearing.

        Args:
            message: What came.
            receipt: Of a message that wants to be acknowledged. Who hears it by a `held` subscription has to
                let it go, unless that handler raises.
        """
        for route in self._way(message.topic):
            if route.closed:  # by a handler before it
                continue
            let_go = receipt.hold() if receipt is not None and route.subscription.held else None
            try:
                route.handler(message if let_go is None else replace(message, acknowledge=let_go))
            except Exception:
                log.exception("a handler of %s failed on a message", route.subscription.shown)
                if let_go is not None:
                    let_go()
        if receipt is not None:
            receipt.let_go()

    def stray(self, topic: str) -> tuple[tuple[str, ...], ...]:
        """Return what to unsubscribe from, by packet, where nobody wants what comes on that topic.

        The broker keeps a session's subscriptions, those of an earlier run with other settings too, and does
        not tell which they are. All that match this topic are nobody's. Once for each topic of a connection.
        """
        if self._way(topic) or topic in self._strays or len(self._strays) >= MOST_STRAYS:
            return ()
        self._strays.add(topic)
        filters = tuple(filters_of(topic, MOST_GUESSES))
        starts = range(0, len(filters), MOST_UNSUBSCRIBED)
        return tuple(filters[start : start + MOST_UNSUBSCRIBED] for start in starts)

    def patient(self, topic: str) -> bool:
        """Whether nobody minds if a message on that topic is read a little later."""
        return all(route.subscription.patient for route in self._way(topic))

    def _way(self, topic: str) -> tuple[Route, ...]:
        """Return the routes that match, in the order of their making; most topics come again and again."""
        way = self._ways.get(topic)
        if way is None:
            parts = topic.split("/")
            way = tuple(route for route in self._routes if route.matches(parts))
            if len(self._ways) >= MAX_WAYS:
                self._ways.clear()
            self._ways[topic] = way
        return way

    @property
    def _sparing(self) -> bool:
        return self._unanswered // UNANSWERED % 2 == 1

    def ended(self, *, answered: bool) -> tuple[str, ...]:
        """Note that a connection ended; return the filters that are left out from now on.

        Args:
            answered: Whether the broker had answered the first SUBSCRIBE; False only if it hung up before.
        """
        sparing = self._sparing
        if not answered:
            self._unanswered += 1
        elif not sparing:
            self._unanswered = 0
        optional = {each.subscription.shown for each in self._routes if each.subscription.optional}
        return tuple(sorted(optional)) if self._sparing and not sparing else ()

    def connected(self) -> None:
        """Forget unanswered SUBSCRIBE packets of an earlier connection."""
        self._pending.clear()
        self._strays.clear()
        self._first = None

    def asked(
        self, packet: int | None, subscriptions: tuple[Subscription, ...], *, first: bool = False
    ) -> None:
        """Note that a SUBSCRIBE packet of this id was sent; `first` is the one that all routes are in."""
        self._pending[packet] = subscriptions
        if first:
            self._first = packet

    def answered(self, packet: int, refusals: Sequence[str | None]) -> Verdict:
        """Take a SUBACK: for each filter why it was refused, or None. Filters without a route don't count."""
        refused: list[str] = []
        spared: list[str] = []
        for asked, refusal in zip(self._pending.pop(packet, ()), refusals, strict=False):
            routes = self._of(asked.filter)
            if refusal is not None and routes:
                needed = any(not route.subscription.optional for route in routes)
                (refused if needed else spared).append(f"{asked.shown} ({refusal})")
        return Verdict(tuple(refused), tuple(spared), first=packet == self._first)

    def _of(self, topic_filter: str) -> list[Route]:
        """Return the routes that want a filter."""
        return [route for route in self._routes if route.subscription.filter == topic_filter and route.wanted]
