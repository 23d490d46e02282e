"""Who may wait, and who is next: a bounded queue with priorities, quotas and deadlines. Pure.

Priority is a head start: a request of the next higher priority counts as if it had come `ageing_s`
earlier. So a request that has waited that long goes before a fresh one of higher priority, and nothing
starves.
"""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass, field

from edgeassist.errors import BusyError, QuotaExceededError
from edgeassist.protocol.requests import Priority

_HEAD_STARTS = {Priority.LOW: 0, Priority.NORMAL: 1, Priority.HIGH: 2}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait.

    Attributes:
        queue: Requests that wait.
        per_client: Requests of one client that wait or run.
        ageing_s: What one priority is worth, in seconds of waiting.
    """

    queue: int
    per_client: int
    ageing_s: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request on its way through the daemon. Times in seconds of one monotonic clock.

    Attributes:
        client: Whose quota it counts against; "" for the topic that all share.
        session: Key of its conversation; requests of one conversation run one after the other.
    """

    id: str
    client: str
    priority: Priority
    arrived: float
    deadline: float
    session: str | None = None


@dataclass(slots=True)
class Admission:
    """The queue, and the requests that left it and have not ended."""

    limits: Limits
    _queue: list[Ticket] = field(default_factory=list)
    _running: dict[str, Ticket] = field(default_factory=dict)
    _per_client: Counter[str] = field(default_factory=Counter)

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """How many were taken and have not ended."""
        return len(self._running)

    def apply(self, limits: Limits) -> None:
        """Go by other limits; what waits already stays, in the order that they give."""
        self.limits = limits
        self._queue.sort(key=self._rank)

    def offer(self, ticket: Ticket, *, retry_after_ms: int) -> int:
        """Queue the request and return its position, 0 for the next to start.

        Args:
            ticket: Its id is not known here.
            retry_after_ms: What a refusal says.

        Raises:
            QuotaExceededError: Its client has as many waiting and running as it may.
            BusyError: The queue is full.
        """
        if self._per_client[ticket.client] >= self.limits.per_client:
            who = f"client {ticket.client!r} has" if ticket.client else "the shared prompt topic has"
            raise QuotaExceededError(
                f"{who} {self.limits.per_client} requests waiting or running, the most that it may "
                "(the daemon's setting admission.per_client)",
                retry_after_ms=retry_after_ms,
            )
        if len(self._queue) >= self.limits.queue:
            raise BusyError(
                f"{len(self._queue)} requests wait, the most that may (the daemon's setting admission.queue)",
                retry_after_ms=retry_after_ms,
            )
        self._per_client[ticket.client] += 1
        bisect.insort(self._queue, ticket, key=self._rank)
        return self._queue.index(ticket)

    def take(self) -> Ticket | None:
        """Return the next request to run; it counts as running until `end`.

        A request whose conversation has one running stays where it is.
        """
        busy = {ticket.session for ticket in self._running.values() if ticket.session is not None}
        for index, ticket in enumerate(self._queue):
            if ticket.session not in busy:
                del self._queue[index]
                self._running[ticket.id] = ticket
                return ticket
        return None

    def put_back(self, request: str) -> None:
        """Let a request that was taken wait again, where it was: it could not begin."""
        bisect.insort_left(self._queue, self._running.pop(request), key=self._rank)

    def end(self, request: str) -> None:
        """Note that a request, waiting or running, came to its end."""
        ticket = self._running.pop(request, None)
        if ticket is None:
            ticket = next(each for each in self._queue if each.id == request)
            self._queue.remove(ticket)
        self._per_client[ticket.client] -= 1
        self._per_client += Counter()  # drops the zeros, so that past clients take no memory

    def overdue(self, now: float) -> list[Ticket]:
        """Return the requests, waiting or running, whose time ran out."""
        return [ticket for ticket in self._all() if ticket.deadline <= now]

    def next_deadline(self) -> float | None:
        """Return when the first of them runs out of time."""
        return min((ticket.deadline for ticket in self._all()), default=None)

    def _all(self) -> list[Ticket]:
        return [*self._queue, *self._running.values()]

    def _rank(self, ticket: Ticket) -> float:
        return ticket.arrived - _HEAD_STARTS[ticket.priority] * self.limits.ageing_s
