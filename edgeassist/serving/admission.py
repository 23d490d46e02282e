"""The requests that have not ended, who may join them, and who is next. Sans-I/O; time is passed in.

Priority is a head start: a request of the next higher priority counts as if it had come `ageing_s`
earlier. So a request that has waited that long goes before a fresh one of higher priority, and none starves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edgeassist.errors import BusyError, ModelLoadingError, QuotaExceededError
from edgeassist.protocol.asking import Priority
from edgeassist.serving.caller import Caller, Key
from edgeassist.serving.request import Request, State

_HEAD_STARTS = {Priority.LOW: 0, Priority.NORMAL: 1, Priority.HIGH: 2}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait.

    Attributes:
        queue: Requests that wait.
        per_client: Requests of one caller that wait or run.
        ageing_s: What one priority is worth, in seconds of waiting.
    """

    queue: int
    per_client: int
    ageing_s: float


@dataclass(slots=True)
class Admission:
    """All requests that wait or run, by key; their state says which of the two."""

    limits: Limits
    _requests: dict[Key, Request] = field(default_factory=dict)
    # Asked for at each turn of everything, so that it is not counted anew: how many of these run.
    _running: int = 0

    def __iter__(self) -> Iterator[Request]:
        """Yield them, in the order of their arrival; ending one meanwhile does no harm."""
        return iter(list(self._requests.values()))

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._requests) - self._running

    @property
    def running(self) -> int:
        """How many were taken and have not ended."""
        return self._running

    def find(self, key: Key) -> Request | None:
        """Return the request of that key; None where none waits or runs."""
        return self._requests.get(key)

    def check(self, caller: Caller, *, loading: bool, retry_after_ms: int) -> None:
        """Raise unless the caller may add a request.

        Args:
            caller: Who asks.
            loading: Whether all wait for the model.
            retry_after_ms: What a refusal says.

        Raises:
            QuotaExceededError: The caller has as many waiting and running as it may.
            BusyError: The queue is full.
            ModelLoadingError: It is full of requests that wait for the model.
        """
        if not caller.metered:
            return
        name = caller.name or ""
        if sum(key.caller == name for key in self._requests) >= self.limits.per_client:
            who = f"client {name!r} has" if name else "the shared prompt topic has"
            raise QuotaExceededError(
                f"{who} {self.limits.per_client} requests waiting or running, the most that it may "
                "(the daemon's setting admission.per_client)",
                retry_after_ms=retry_after_ms,
            )
        waiting = [each for each in self._requests.values() if each.state is State.WAITING]
        queued = sum(each.caller.metered for each in waiting)
        if queued >= self.limits.queue:
            full = f"{queued} requests wait, the most that may (the daemon's setting admission.queue)"
            if loading:
                message = f"the model is still loading, and {full}"
                raise ModelLoadingError(message, retry_after_ms=retry_after_ms)
            raise BusyError(full, retry_after_ms=retry_after_ms)

    def add(self, request: Request) -> int:
        """Queue a request that `check` allowed; return its position, 0 for the next to start."""
        self._requests[request.key] = request
        return self.position(request)

    def position(self, request: Request) -> int:
        """Return the place of a request that waits, 0 for the next to start."""
        return self.queue().index(request)

    def start_next(self) -> Request | None:
        """Return the next request to run; it counts as running until `put_back` or `end`.

        One whose conversation has another running stays where it is.
        """
        busy = {each.session for each in self._requests.values() if each.state is State.RUNNING} - {None}
        for request in self.queue():
            if request.session not in busy:
                request.state = State.RUNNING
                self._running += 1
                return request
        return None

    def put_back(self, request: Request) -> None:
        """Let a request that runs wait again, where it was."""
        self._running -= request.state is State.RUNNING
        request.state = State.WAITING

    def end(self, request: Request) -> None:
        """Note that a request came to its end."""
        self._running -= request.state is State.RUNNING
        request.state = State.ENDED
        del self._requests[request.key]

    def overdue(self, now: float) -> list[Request]:
        """Return the requests, waiting or running, whose time ran out."""
        return [each for each in self._requests.values() if each.deadline <= now]

    def next_deadline(self) -> float | None:
        """Return when the first of them runs out of time."""
        return min((each.deadline for each in self._requests.values()), default=None)

    def queue(self) -> list[Request]:
        """Return those that wait, the next to start first."""
        waiting = [each for each in self._requests.values() if each.state is State.WAITING]
        return sorted(waiting, key=self._rank)

    def _rank(self, request: Request) -> float:
        return request.arrived - _HEAD_STARTS[request.asked.priority] * self.limits.ageing_s


def taken(request_id: str) -> str:
    """Return why a request can't have this id."""
    return f"the id {request_id!r} is taken by a request under way: use another"
