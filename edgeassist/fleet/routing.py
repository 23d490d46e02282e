"""Which box has a request: this one, or another. Sans-I/O.

A request without a conversation goes where it starts at once: here, if there is room, or to one of the boxes
that say so, picked at random, so that not all pick the same. Where none has room it waits here, and a box
that has some later asks for it.

A conversation stays with the box that has it. It begins at the first of the boxes that are online, in the
order of its key (`ranking`). A box that comes later may be before that one in the order, but then it finds it
there when it connects, as one that is older than itself. So who is asked for a conversation that it does not
know passes the request on to the next in the order that is older; that comes to the box that has it, if it
lives, and each box on the way came later than the conversation began. If nobody knows it, it begins at the
first in the order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.ranking import ranked

# So often a request without a conversation is handed on as soon as it comes; then it waits where it is, until
# a box asks for it that has room.
MAX_HOPS = 2
# Boxes that disagree for a moment must not pass a request on for ever.
MOST_HOPS = 64


class Search(StrEnum):
    """How far the search for a conversation's box is."""

    NONE = "none"
    SEEK = "seek"
    """Pass it on if you don't know it."""
    BEGIN = "begin"
    """Nobody knows it: begin it."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A request on its way to a box.

    Attributes:
        hops: How often it was handed on.
        conversation: The key of its conversation; None: it is in none.
        search: How far the search for that is.
        known: Whether it is known here.
    """

    hops: int = 0
    conversation: str | None = None
    search: Search = Search.NONE
    known: bool = False


@dataclass(frozen=True, slots=True)
class Handing:
    """Where a request goes from here."""

    to: str
    search: Search = Search.NONE


Pick = Callable[[Sequence[str]], str]


def route(errand: Errand, boxes: Boxes, *, takes: bool, room: int, pick: Pick) -> Handing | None:
    """Return which other box gets a request; None: it stays here.

    Args:
        errand: The request.
        boxes: The others.
        takes: Whether this box takes requests, and is not draining.
        room: How many requests would start here at once.
        pick: Returns one of several names, at random.
    """
    if errand.hops >= MOST_HOPS or not boxes.online:
        return None
    if errand.conversation is not None:
        return _of_conversation(errand, errand.conversation, boxes, takes=takes)
    if takes and (room > 0 or errand.hops >= MAX_HOPS):
        return None
    free = boxes.free
    if not free:
        return None if takes else Handing(pick(boxes.online))
    return Handing(pick(free))


def _of_conversation(errand: Errand, key: str, boxes: Boxes, *, takes: bool) -> Handing | None:
    here = boxes.device
    order = ranked(key, [*boxes.online, *([here] if takes else [])])
    if not takes:
        return Handing(order[0], Search.BEGIN if errand.known else Search.SEEK)
    if errand.known or errand.search is Search.BEGIN:
        return None
    first = order[0]
    if first != here and errand.search is Search.NONE:
        return Handing(first, Search.SEEK)
    for other in order[order.index(here) + 1 :]:
        if boxes.is_older(other):
            return Handing(other, Search.SEEK)
    return None if first == here else Handing(first, Search.BEGIN)
