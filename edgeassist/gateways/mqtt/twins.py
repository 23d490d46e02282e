"""Finds out whether another daemon has this device's name, and tells who it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable

from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.state import Instance, parse_instance
from edgeassist.protocol.topics import Topics

log = logging.getLogger(__name__)

# While there is a twin, each says that often that it is still there; unheard that long, it is forgotten.
REPEAT_S = 60.0
FORGET_S = 200.0
# How often a marker has to be found on a new connection: a broker that lost its memory may bring back, once,
# that of a run of ours long ago.
SIGHTINGS = 2
# So many twins are told of in so long a time, in seconds: anybody who may publish can make markers up.
MOST_TOLD, TOLD_WITHIN_S = 8, 3600.0
# Of how many markers that stood there it is kept how often they were found.
MOST_SIGHTED = 64


class Twins(Gateway):
    """Says who is this device, and listens to whom else says so.

    A retained marker tells it. With two client ids both daemons stay connected and get every prompt: each
    hears the other's marker as it is published. With one id they throw each other off, and each finds on
    its next connection that its own marker was overwritten. What stands there on the first connection
    proves nothing: most often it is that of our own last run. Neither a machine's id nor its address would
    tell: a copied card has the first, and a network gives out the second anew.

    Args:
        topics: This device's.
        ours: Returns the marker of this daemon on its present connection.
        broker: Takes and brings markers.
        on_change: Called when a twin was found or is forgotten, with the words for a person or None.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        topics: Topics,
        ours: Callable[[], Instance],
        broker: Link,
        *,
        on_change: Callable[[str | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._ours = ours
        self._broker = broker
        self._on_change = on_change
        self._clock = clock
        self._connections = 0
        self._former: bytes | None = None
        self._sightings: Counter[str] = Counter()
        self._told_at: deque[float] = deque(maxlen=MOST_TOLD)
        self._quiet = False
        self._twin: Instance | None = None
        self._seen_at = 0.0

    def start(self) -> None:
        """Listen, where the broker lets us; not at QoS 1: what it kept for us is old news."""
        self._broker.subscribe(Subscription(self._topics.instance, qos=0, optional=True), self._hear)

    def connected(self) -> None:
        """Say who this is."""
        self._connections += 1
        self._say()

    async def run(self) -> None:
        """Keep what is known of a twin fresh, for ever."""
        while True:
            await asyncio.sleep(REPEAT_S)
            if self._twin is None:
                continue
            if self._clock() - self._seen_at > FORGET_S:
                log.info("the other daemon that is %s is gone", self._topics.root)
                self._twin = None
                self._on_change(None)
            elif self._broker.connected:
                self._say()

    def _say(self) -> None:
        marker = self._ours().model_dump_json().encode()
        self._broker.publish(Outbound(self._topics.instance, marker, qos=1, retain=True))

    def _hear(self, message: Inbound) -> None:
        other = parse_instance(message.payload)
        if other is None or other.boot_id == self._ours().boot_id:
            return
        if message.retained and not self._is_rewritten(message.payload, other.boot_id):
            return
        new = self._twin is None or self._twin.boot_id != other.boot_id
        if new and not self._may_tell():
            return
        self._seen_at = self._clock()
        self._twin = other
        if new:
            words = describe(self._topics.root, other, self._ours())
            log.error("%s", words)
            self._on_change(words)
            # It may have connected after our last word. Once, or two would answer each other for ever.
            if not message.retained:
                self._say()

    def _may_tell(self) -> bool:
        """Whether a twin may be told of that was not known; not of ever more of them."""
        now = self._clock()
        if len(self._told_at) < MOST_TOLD or now - self._told_at[0] > TOLD_WITHIN_S:
            self._told_at.append(now)
            self._quiet = False
            return True
        if not self._quiet:
            self._quiet = True
            log.error(
                "%s: of more than %d other daemons in an hour no more is told: who may publish there? "
                "(give the broker an access control list)",
                self._topics.instance,
                MOST_TOLD,
            )
        return False

    def _is_rewritten(self, marker: bytes, boot_id: str) -> bool:
        """Whether a marker that stands there was written by a daemon that runs beside us."""
        if self._connections <= 1:
            self._former = marker
        if marker == self._former:
            return False
        if len(self._sightings) >= MOST_SIGHTED:
            self._sightings.clear()
        self._sightings[boot_id] += 1
        return self._sightings[boot_id] >= SIGHTINGS


def describe(root: str, other: Instance, ours: Instance) -> str:
    """Return that there is a twin, who it is, what comes of it, and what to do."""
    same = other.client_id == ours.client_id
    effect = "they throw each other off the broker" if same else "every prompt is answered twice"
    place = "this machine" if (other.host, other.address) == (ours.host, ours.address) else other.host
    address = "" if other.address is None else f" ({other.address})"
    return (
        f"another daemon is {root} too, and {effect}: process {other.pid} on {place}{address}, client id "
        f"{other.client_id!r}, version {other.version}: give each its own device.name"
    )
