"""How a box stands: whether it takes requests, why not, and for how many it has room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgeassist.fleet.load import Load
from edgeassist.gateways.fleet.answering import Answering
from edgeassist.gateways.fleet.held import HeldRequests
from edgeassist.gateways.fleet.sharing import ShareCheck
from edgeassist.gateways.link import Link
from edgeassist.protocol.fleet import BoxCondition

# So many messages are on their way to a client that speaks MQTT 3.1.1, in which it can't say how many.
WINDOW = 20
# How long a box may have no engine, such as one that crashed, before it leaves its requests to others.
PATIENCE_S = 5.0


class Standing:
    """Tells how this box stands.

    Args:
        load: Returns what this box has to do.
        link: The connection for the fleet.
        receive_maximum: How many requests this box answers for at once.
        held: What it answers for.
        answering: Whether this daemon is about to end.
        sharing: Whether the broker shares.
        clock: Seconds of the monotonic clock.

    Attributes:
        drained: Whether it was told to take nothing new.
        unusable: Whether no model can be had, until there is one all the same.
    """

    def __init__(
        self,
        load: Callable[[], Load],
        link: Link,
        *,
        receive_maximum: int,
        held: HeldRequests,
        answering: Answering,
        sharing: ShareCheck,
        clock: Callable[[], float],
    ) -> None:
        self._load = load
        self._link = link
        self._receive_maximum = receive_maximum
        self._held = held
        self._answering = answering
        self._sharing = sharing
        self._clock = clock
        self._well_at: float | None = None
        self.drained = False
        self.unusable = False

    def look(self) -> None:
        """Note when it is well; to be called whenever that may have changed."""
        if self._load().problem is None:
            self._well_at, self.unusable = self._clock(), False

    @property
    def takes(self) -> bool:
        """Whether it takes new requests."""
        return self.condition()[0] is BoxCondition.ONLINE

    def condition(self) -> tuple[BoxCondition, str | None]:
        """Return whether it takes new requests, and why not."""
        if self._answering.ending:
            return BoxCondition.DRAINING, "it stops"
        if self.drained:
            return BoxCondition.DRAINING, "it was told to"
        if self._sharing.problem is not None:
            return BoxCondition.DRAINING, self._sharing.problem
        problem = self._load().problem
        if problem is None:
            return BoxCondition.ONLINE, None
        if self.unusable or self._well_at is None or self._clock() - self._well_at > PATIENCE_S:
            return BoxCondition.DRAINING, problem
        return BoxCondition.ONLINE, None

    def load(self) -> Load:
        """Return what it has to do; no more room than it answers for requests at once."""
        load = self._load()
        most = self._receive_maximum if self._link.protocol == "5" else WINDOW
        full = len(self._held) >= most
        return replace(load, slots=min(load.slots, load.running)) if full else load
