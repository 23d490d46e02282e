"""Routes from topic filters to handlers, and what the broker has granted of them. Sans-I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgeassist.protocol.packets import Inbound, Subscription

log = logging.getLogger(__name__)

Handler = Callable[[Inbound], None]

MAX_FILTER_BYTES = 65_535
# So many connections in a row that end over the first SUBSCRIBE, and what is optional is left out of it.
UNANSWERED = 2
# `$share/<group>/<filter>`: MQTT 5, section 4.8.2; brokers offer it to 3.1.1 as well.
_SHARE = "$share"
_SHARE_LEVELS = 2


class Route:
    """A handler that gets the messages of one filter until `close`.

    Args:
        subscription: The filter, and how to subscribe to it.
        handler: Called with each message.
        on_close: Called once, by `close`.

    Raises:
        ValueError: It is no topic filter.
    """

    def __init__(
        self, subscription: Subscription, handler: Handler, on_close: Callable[[Route], None]
    ) -> None:
        check_filter(subscription.filter)
        self.subscription = subscription
        self.handler = handler
        self.closed = False
        self._on_close = on_close
        levels = subscription.filter.split("/")
        self._levels = levels[_SHARE_LEVELS:] if levels[0] == _SHARE else levels

    def close(self) -> None:
        """Stop: the handler is not called any more, not even with messages that have arrived already.

        The broker is unsubscribed from unless another route has the same filter. Closing twice is harmless.
        """
        if not self.closed:
            self.closed = True
            self._on_close(self)

    def matches(self, topic: str) -> bool:
        """Whether the filter matches a topic (MQTT 5, section 4.7)."""
        return _match(self._levels, topic)


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

    def add(self, route: Route) -> None:
        """Let the route hear from now on."""
        self._routes.append(route)

    def remove(self, route: Route) -> bool:
        """Forget the route; False if another one has the same filter."""
        self._routes.remove(route)
        return not self._of(route.subscription.filter)

    def wanted(self, *, wildcards: bool = True) -> tuple[Subscription, ...]:
        """Return what the broker must be asked for: one subscription for each filter.

        Some brokers refuse a filter by ending the connection. So after UNANSWERED connections that ended so,
        what is optional is left out, and asked for again if as many more do: it was not the reason.

        Args:
            wildcards: Whether it takes filters with wildcards.
        """
        filters = dict.fromkeys(route.subscription.filter for route in self._routes)
        wanted = [self.merged(each) for each in filters if wildcards or not set(each) & set("+#")]
        return tuple(each for each in wanted if not (each.optional and self._sparing))

    def merged(self, topic_filter: str) -> Subscription:
        """Return one subscription for all routes of a filter: the highest QoS, optional if all are."""
        wishes = [route.subscription for route in self._of(topic_filter)]
        optional = all(wish.optional for wish in wishes)
        return Subscription(topic_filter, max(wish.qos for wish in wishes), optional)

    def deliver(self, message: Inbound) -> None:
        """Call the handler of every route that matches; one that raises does not keep others from hearing."""
        for route in [each for each in self._routes if each.matches(message.topic)]:
            if route.closed:  # by a handler before it
                continue
            try:
                route.handler(message)
            except Exception:
                log.exception("a handler of %s failed on a message", route.subscription.filter)

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
        optional = {each.subscription.filter for each in self._routes if each.subscription.optional}
        return tuple(sorted(optional)) if self._sparing and not sparing else ()

    def connected(self) -> None:
        """Forget unanswered SUBSCRIBE packets of an earlier connection."""
        self._pending.clear()
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
                (refused if needed else spared).append(f"{asked.filter} ({refusal})")
        return Verdict(tuple(refused), tuple(spared), first=packet == self._first)

    def _of(self, topic_filter: str) -> list[Route]:
        return [route for route in self._routes if route.subscription.filter == topic_filter]


def check_filter(topic_filter: str) -> None:
    """Raise a ValueError unless MQTT allows to subscribe to it."""
    levels = topic_filter.split("/")
    if levels[0] == _SHARE:
        group = levels[1] if len(levels) > _SHARE_LEVELS else ""
        if not group or set(group) & set("+#"):
            raise ValueError(f"{topic_filter!r} is no shared filter: it must be $share/<group>/<filter>")
        levels = levels[_SHARE_LEVELS:]
    misplaced = "#" in levels[:-1] or any(set(level) & set("+#") and len(level) > 1 for level in levels)
    if levels == [""] or misplaced or len(topic_filter.encode()) > MAX_FILTER_BYTES:
        raise ValueError(
            f"{topic_filter!r} is no topic filter: + and # stand for whole levels, # for the last"
        )


def _match(levels: Sequence[str], topic: str) -> bool:
    if topic.startswith("$") and levels[0] in {"+", "#"}:
        return False
    parts = topic.split("/")
    for index, level in enumerate(levels):
        if level == "#":  # the parent level too
            return True
        if index == len(parts) or level not in {"+", parts[index]}:
            return False
    return len(levels) == len(parts)
