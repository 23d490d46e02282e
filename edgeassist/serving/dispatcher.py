"""Gives requests to the engine while it has slots, and takes what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Protocol

import msgspec

from edgeassist.engine.messages import (
    Cancelled,
    Command,
    Decide,
    Decided,
    Delta,
    DeltaKind,
    Encoding,
    Event,
    Failed,
    Finished,
    Prefilled,
    Start,
    ToolCall,
)
from edgeassist.errors import EdgeAssistError, InvalidRequestError, error_for
from edgeassist.serving.alarm import Alarm
from edgeassist.serving.request import Request, State
from edgeassist.serving.stream import Stream

_calls = msgspec.json.Decoder(ToolCall)


class Engine(Protocol):
    """What serving needs of the engine's supervisor."""

    def send(self, command: Command) -> None:
        """Send a command; dropped if no engine is running."""
        ...


class Work(Protocol):
    """Where requests come from, and where they end."""

    def next_request(self) -> Request | None:
        """Return the next request to run; None where none may."""
        ...

    def start_of(self, request: Request, job: str, now: float) -> Start | Decide:
        """Return the command that begins it.

        Raises:
            InvalidRequestError: It does not fit what was said in its conversation.
        """
        ...

    def started(self) -> None:
        """Note that the engine was given one: whatever follows from it must not delay it."""
        ...

    def finish(self, request: Request, end: Finished | Decided, now: float) -> None:
        """End a request with its answer, or its decision."""
        ...

    def fail(self, request: Request, error: EdgeAssistError) -> None:
        """End a request with an error."""
        ...


@dataclass(slots=True)
class _Held:
    """What one engine has: requests by job, and the job that it is turning into tokens."""

    jobs: dict[str, Request] = field(default_factory=dict)
    encoding: str | None = None

    def find(self, job: str) -> Request | None:
        """Return a job's request; None where that has ended."""
        request = self.jobs.get(job)
        return request if request is not None and request.state is State.RUNNING else None


class Dispatcher:
    """Which request has which slot of the engine, and what the engine still has whose place it took.

    A request that ended keeps its slot until the engine says that it is free. The engine's id for a request,
    its job, is never used twice: what is still said of an ended one can't reach another of the same key.

    Args:
        engine: Takes commands.
        work: What there is to do.
        alarm: Rung when text has to go out later.
        clock: Seconds of one monotonic clock.

    Attributes:
        slots: How many jobs the engine takes; 0 while it is not ready.
        held: Whether it is given none for now.
    """

    def __init__(self, engine: Engine, work: Work, alarm: Alarm, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._work = work
        self._alarm = alarm
        self._clock = clock
        self._here = _Held()
        self._leaving = _Held()
        self._numbers = count(1)
        self._held_back: str | None = None
        self.slots = 0
        self.held = False

    def __iter__(self) -> Iterator[Request]:
        """Yield the requests that run; ending one meanwhile does no harm."""
        all_jobs = chain(self._leaving.jobs.values(), self._here.jobs.values())
        return iter([each for each in all_jobs if each.state is State.RUNNING])

    def pump(self) -> None:
        """Start what waits while the engine has free slots."""
        while len(self._here.jobs) < self.slots and not self.held:
            request = self._work.next_request()
            if request is None:
                return
            now = self._clock()
            job = str(next(self._numbers))
            try:
                start = self._work.start_of(request, job, now)
            except InvalidRequestError as error:
                self._work.fail(request, error)
                continue
            request.begin(job)
            self._here.jobs[job] = request
            request.stream.started(now)
            request.stream.held_back = self._held_back
            self._engine.send(start)
            self._work.started()

    def encodes(self, *, leaving: bool = False) -> bool:
        """Whether the engine is turning a long prompt into tokens."""
        return self._of(leaving=leaving).encoding is not None

    def encoded(self, *, leaving: bool = False) -> Request | None:
        """The request of that prompt; None where it has ended."""
        held = self._of(leaving=leaving)
        return None if held.encoding is None else held.find(held.encoding)

    @property
    def leaving(self) -> int:
        """How many requests run on the engine whose place was taken."""
        return sum(each.state is State.RUNNING for each in self._leaving.jobs.values())

    def go_over(self) -> None:
        """Note that another engine has taken the place of that which has all jobs, if there are any."""
        self._leaving.jobs.update(self._here.jobs)
        self._leaving.encoding = self._here.encoding
        self._here = _Held()

    def lose(self, *, leaving: bool = False) -> list[Request]:
        """Forget all jobs, because their engine is gone; return the requests that had not ended."""
        held = self._of(leaving=leaving)
        lost = [each for each in held.jobs.values() if each.state is State.RUNNING]
        for request in lost:
            request.job = None
        if leaving:
            self._leaving = _Held()
        else:
            self._here, self.slots = _Held(), 0
        return lost

    def _of(self, *, leaving: bool) -> _Held:
        return self._leaving if leaving else self._here

    def hold_back(self, reason: str | None) -> None:
        """Note why the engine computes with fewer threads than it could; None when it no longer does."""
        self._held_back = reason
        for request in self:
            request.stream.held_back = reason or request.stream.held_back

    def handle(self, event: Event) -> None:
        """Take what the engine says of a job; what it says of an ended one only frees its slot."""
        now = self._clock()
        match event:
            case Delta():
                if (request := self._find(event.id)) is not None:
                    request.completion_tokens = event.tokens
                    _take(event, request.stream, now)
                    if (due := request.stream.next_flush(now)) is not None:
                        self._alarm.by(due)
            case Encoding():
                held = self._leaving if event.id in self._leaving.jobs else self._here
                held.encoding = None if event.done else event.id
            case Prefilled():
                if (request := self._find(event.id)) is not None:
                    request.prompt_tokens, request.processed = event.total, event.processed
                    request.stream.progress(
                        processed=event.processed, cached=event.cached, total=event.total, now=now
                    )
            case Finished() | Decided() | Failed() | Cancelled():
                self._handle_end(event, now)

    def _handle_end(self, end: Finished | Decided | Failed | Cancelled, now: float) -> None:
        request = self._find(end.id)
        for held in (self._here, self._leaving):
            held.jobs.pop(end.id, None)
        if request is not None:
            request.job = None
            match end:
                case Finished() | Decided():
                    self._work.finish(request, end, now)
                case Failed():
                    self._work.fail(request, error_for(end.code, end.message))
        self.pump()

    def _find(self, job: str) -> Request | None:
        """Return a job's request; None where that has ended."""
        return self._here.find(job) or self._leaving.find(job)


def _take(delta: Delta, stream: Stream, now: float) -> None:
    """Hand the next part of an answer to its stream."""
    match delta.kind:
        case DeltaKind.TEXT:
            stream.add(delta.text, now)
        case DeltaKind.THOUGHT:
            stream.think(delta.text, now)
        case DeltaKind.TOOL_CALL:
            call = _calls.decode(delta.text)
            stream.call(call.name, call.arguments, now)
