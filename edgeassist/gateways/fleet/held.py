"""The fleet's requests that this box answers for: the broker has them until their fate is safe."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from edgeassist.fleet.routing import Errand, Search
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.protocol.asking import Priority
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.caller import Caller, Key
from edgeassist.serving.request import AnyRequest

# So many that are settled are remembered, by how they were delivered: an acknowledgement may get lost.
SETTLED = 256
# What a fleet's callers are called by: no name on a device's own topics has a slash.
CALLERS = "fleet/"
# The packet id, and the message's fingerprint.
Delivery = tuple[int, bytes]
_URGENCY = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


def caller_name(client: str | None) -> str:
    """Return what a client of the fleet is called among the callers of this device."""
    return f"{CALLERS}{client or ''}"


class Phase(Enum):
    """Where a request is."""

    HERE = auto()
    """It waits or runs here, or its end is on its way to the broker."""
    LEAVING = auto()
    """It is handed to another box, and that is not with the broker yet."""
    LEFT = auto()
    """It is with the broker again, or its end is."""


@dataclass(slots=True, eq=False)
class Held:
    """A request, and what it takes to hand it on.

    Attributes:
        message: As the client published it.
        caller: Whose it is.
        asked: What is asked; None where it could not be read.
        reply_to: Where the answer goes.
        client: The client whose topic it came on.
        hops: How often it was handed on.
        search: How far the search for its conversation's box is.
        left_s: How long it may take, as the box says that handed it to us.
        receipts: To be called when its fate is safe; several where it came again.
        sender: Which box handed it to us; None: a client published it.
        again: Whether it may have been ended before, by somebody who is gone.
        phase: Where it is.
        ended: Whether its end has been said, which the broker may not have yet.
        unheard: Whether nobody listens where it was handed to.
        since: When it came here, in seconds of the monotonic clock.
        delivered_at: On which of our connections the broker brought it last, counted.
    """

    message: Inbound
    caller: Caller
    asked: AnyRequest | None
    reply_to: ReplyTo
    client: str | None
    hops: int
    search: Search
    left_s: float | None
    receipts: list[Callable[[], None]]
    sender: str | None = None
    again: bool = False
    phase: Phase = Phase.HERE
    ended: bool = False
    unheard: bool = False
    since: float = 0.0
    delivered_at: int = 0

    @property
    def key(self) -> Key | None:
        """What tells it from others; None where it could not be read."""
        return None if self.asked is None else self.caller.key(self.asked.id)

    @property
    def session(self) -> Key | None:
        """Its conversation, as `Requests` calls it."""
        name = self.asked.session if isinstance(self.asked, PromptRequest) else None
        return None if name is None else self.caller.key(name)

    def errand(self, *, known: bool) -> Errand:
        """Return what decides where it goes.

        Args:
            known: Whether its conversation is known here.
        """
        session = self.session
        key = None if session is None else "/".join(session)
        return Errand(self.hops, key, self.search, known)

    @property
    def delivery(self) -> Delivery:
        """What tells that a message is delivered again."""
        return self.message.packet_id, self.caller.fingerprint or b""

    @property
    def settled(self) -> bool:
        """Whether it was acknowledged, and not only forgotten."""
        return self.phase is Phase.LEFT and not self.receipts

    def settle(self) -> None:
        """Acknowledge it, wherever it came from."""
        self.phase = Phase.LEFT
        receipts, self.receipts = self.receipts, []
        for acknowledge in receipts:
            acknowledge()


@dataclass(slots=True)
class HeldRequests:
    """All of them, oldest first.

    Attributes:
        connection: Counts our connections.
    """

    connection: int = 0
    _held: dict[Held, Delivery] = field(default_factory=dict)
    _by_delivery: dict[Delivery, dict[Held, None]] = field(default_factory=dict)
    _by_key: dict[Key, dict[Held, None]] = field(default_factory=dict)
    _settled: deque[Delivery] = field(default_factory=lambda: deque(maxlen=SETTLED))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        """Yield them, the more urgent ones first; one that leaves meanwhile does no harm."""
        return iter(sorted(self._held, key=_urgency))

    @property
    def in_order(self) -> Collection[Held]:
        """All, as they came; none may come or leave while they are looked at."""
        return self._held.keys()

    def add(self, held: Held) -> None:
        """Answer for one more."""
        delivery = self._held[held] = held.delivery
        self._by_delivery.setdefault(delivery, {})[held] = None
        if held.key is not None:
            self._by_key.setdefault(held.key, {})[held] = None

    def find(self, key: Key) -> Held | None:
        """Return the first of a caller's that has this id, and is being answered here."""
        same = self._by_key.get(key, ())
        return next((each for each in same if each.phase is Phase.HERE and not each.ended), None)

    def delivered_again(self, delivery: Delivery) -> Held | None:
        """Return which of them a message is that the broker says it delivered before."""
        return next(iter(self._by_delivery.get(delivery, ())), None)

    def was_settled(self, delivery: Delivery) -> bool:
        """Whether such a message has been answered or handed on before."""
        return delivery in self._settled

    def session_lost(self) -> None:
        """Note that the broker has forgotten what it delivered: others get those packet ids."""
        self._settled.clear()
        held, self._held = self._held, {}
        self._by_delivery.clear()
        self._by_key.clear()
        for each in held:
            each.message = replace(each.message, packet_id=0)
            self.add(each)

    def settle(self, held: Held) -> None:
        """Acknowledge one, and answer for it no longer."""
        self._settled.append(held.delivery)
        self.forget(held)
        held.settle()

    def forget(self, held: Held) -> None:
        """Answer for it no longer: the broker will bring it again, to whoever has the session then."""
        held.phase = Phase.LEFT
        delivery = self._held.pop(held, None)
        if delivery is not None:
            _drop(self._by_delivery, delivery, held)
            if held.key is not None:
                _drop(self._by_key, held.key, held)


def _drop(index: dict[Any, dict[Held, None]], key: object, held: Held) -> None:
    same = index[key]
    del same[held]
    if not same:
        del index[key]


def _urgency(held: Held) -> int:
    return _URGENCY[held.asked.priority] if held.asked is not None else 0
