"""The way of a request through the daemon: submitted, queued, run, ended.

Whatever happens, every request that was submitted ends in exactly one terminal event at its sink. A request
comes with its caller and its sink; no transport is known here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from pydantic import JsonValue

from edgeassist.errors import (
    CancelledRequestError,
    DeadlineExceededError,
    EdgeAssistError,
    InvalidRequestError,
    ModelUnavailableError,
    ShuttingDownError,
)
from edgeassist.protocol.asking import OnCrash
from edgeassist.protocol.calibration import Calibration
from edgeassist.protocol.events import said_again
from edgeassist.protocol.listing import RequestList
from edgeassist.serving.admission import Admission, taken
from edgeassist.serving.alarm import Alarm
from edgeassist.serving.caller import Caller, Key
from edgeassist.serving.dispatcher import Engine
from edgeassist.serving.endings import Endings, OnEnd, log_of
from edgeassist.serving.engines import Engines
from edgeassist.serving.journal import Durable, Journal, NoJournal
from edgeassist.serving.kinds import Kinds
from edgeassist.serving.listing import list_requests
from edgeassist.serving.policy import Policy
from edgeassist.serving.record import Record
from edgeassist.serving.replay import Replays
from edgeassist.serving.request import AnyRequest, Request, State
from edgeassist.serving.returning import Returning
from edgeassist.serving.sink import Sink
from edgeassist.serving.streams import Streams
from edgeassist.serving.telemetry import Tally


class Requests:
    """All requests of this device, from whichever transport.

    Args:
        device: This device's name.
        policy: Replaced whole by `apply`.
        engine: Takes commands.
        on_change: Called when the number of waiting or running requests changed.
        on_end: Called when a request has ended.
        ready_in: Returns in how many seconds the model will be loaded; None where it is, or nothing tells.
        journal: Keeps what a restart must not lose.
        clock: Seconds of one monotonic clock.

    Attributes:
        engines: Is told of the engine's coming and going, and of what it says.
        returning: Takes up what an earlier run left.
        tally: Counts what happened.
    """

    def __init__(
        self,
        device: str,
        policy: Policy,
        engine: Engine,
        *,
        on_change: Callable[[], None],
        on_end: OnEnd,
        ready_in: Callable[[], float | None] = lambda: None,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ready_in = ready_in
        self._policy = policy
        self._on_change = on_change
        self._journal = NoJournal() if journal is None else journal
        self._clock = clock
        self._admission = Admission(policy.limits)
        self._kinds = Kinds(policy)
        self._replays = Replays(policy.remember_s)
        self._streams = Streams(device, policy.pace)
        self._alarm = Alarm()
        self._abandoned = False
        self.tally = Tally()
        self._endings = Endings(
            engine,
            admission=self._admission,
            kinds=self._kinds,
            replays=self._replays,
            tally=self.tally,
            on_change=on_change,
            on_end=on_end,
            clock=clock,
        )
        self.engines = Engines(
            engine,
            admission=self._admission,
            kinds=self._kinds,
            endings=self._endings,
            alarm=self._alarm,
            on_change=on_change,
            ready_in=ready_in,
            clock=clock,
        )
        self.returning = Returning(
            admission=self._admission,
            engines=self.engines,
            kinds=self._kinds,
            replays=self._replays,
            streams=self._streams,
            endings=self._endings,
            journal=self._journal,
            add=self._add,
            clock=clock,
        )

    @property
    def model(self) -> str | None:
        """The loaded model's name; None before the first."""
        return self.engines.model

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return self._admission.queued

    @property
    def running(self) -> int:
        """How many requests run."""
        return self._admission.running

    @property
    def calibration(self) -> Calibration:
        """By what decisions are made honest."""
        return self._kinds.calibration

    def apply(self, policy: Policy) -> None:
        """Go by another policy from now on; the streams of requests under way keep their pace."""
        self._policy = policy
        self._admission.limits = policy.limits
        self._kinds.apply(policy)
        self._replays.remember_s = policy.remember_s
        self._streams.pace = policy.pace

    # --- requests come in ----------------------------------------------------------------------------------

    def submit(self, asked: AnyRequest, caller: Caller, sink: Sink, durable: Durable | None = None) -> None:
        """Take a request: all that becomes of it, a refusal too, goes to the sink.

        A repeat of one that runs is dropped: the first one's sink gets the answer. A repeat of one that was
        answered a moment ago gets the same end again.

        Args:
            asked: What is asked.
            caller: By whom.
            sink: Where its events go.
            durable: Given with one that a restart must not lose.
        """
        record = Record(sink, self._journal, durable)
        now = self._clock()
        self.tally.requests += 1
        key, fingerprint = caller.key(asked.id), caller.fingerprint or _fingerprint(asked)
        answered = self._replays.find(key, fingerprint, now)
        if answered is not None:
            log_of(asked.id, "came again and gets the same answer again")
            record.send(said_again(answered))
            return
        known = self._admission.find(key)
        if known is not None and known.fingerprint == fingerprint:
            log_of(asked.id, "came again while it is being answered")
            if durable is not None:
                known.record.when_safe(durable.on_safe)
            return
        if durable is not None and durable.again and self._interrupted(asked, key, fingerprint):
            record.admit(key, fingerprint, self._timeout_s(asked, caller))
            self.returning.interrupt(asked, caller, record)
            return
        stream = self._streams.begin(asked.id, record, now, chunks=asked.streams, metadata=asked.metadata)
        deadline = now + self._timeout_s(asked, caller)
        request = Request(asked, caller, fingerprint, stream, record, now, deadline)
        try:
            if known is not None:
                raise InvalidRequestError(taken(asked.id))
            self._check_open(written=durable is not None)
            self._kinds.check_model(asked, self.engines.model)
            self._kinds.check_session(request, self._admission)
            self._check_room(caller)
        except EdgeAssistError as error:
            self._endings.refuse(asked.id, caller, record, stream, error, asked=asked)
            return
        record.admit(key, fingerprint, deadline - now)
        self._add(request)
        if self.engines.closing and not record.written:
            self._endings.fail(request, _shutting_down())

    def _interrupted(self, asked: AnyRequest, key: Key, fingerprint: bytes) -> bool:
        """Whether the daemon died in its answer, before it was written down, and it is not to begin anew."""
        return asked.on_crash is OnCrash.ERROR and self._journal.had_begun(key, fingerprint)

    def _add(self, request: Request) -> None:
        position = self._admission.add(request)
        request.stream.accepted(model=self.engines.model, position=position, ready_in_s=self._ready_in())
        self._alarm.by(request.deadline)
        self.engines.pump()
        self._on_change()

    def when_safe(self, key: Key, call: Callable[[], None]) -> None:
        """Call it when the fate of that request is safe; at once where none waits or runs."""
        request = self._admission.find(key)
        if request is None:
            call()
        else:
            request.record.when_safe(call)

    def refuse(
        self,
        request_id: str,
        caller: Caller,
        sink: Sink,
        error: EdgeAssistError,
        *,
        metadata: dict[str, JsonValue] | None = None,
        durable: Durable | None = None,
    ) -> None:
        """End what never became a request, such as one that its transport could not read."""
        self.tally.requests += 1
        record = Record(sink, self._journal, durable)
        stream = self._streams.begin(request_id, record, self._clock(), metadata=metadata)
        self._endings.refuse(request_id, caller, record, stream, error)

    def _timeout_s(self, asked: AnyRequest, caller: Caller) -> float:
        timeout = asked.timeout_s or self._policy.timeout_s
        return timeout if caller.expiry_s is None else min(timeout, caller.expiry_s)

    def _check_open(self, *, written: bool) -> None:
        """Raise unless requests are taken; while the daemon stops, only those that the next start finds."""
        if self._abandoned or (self.engines.closing and not written):
            raise _shutting_down()
        if self.engines.unavailable is not None:
            raise ModelUnavailableError(f"there is no model to answer with: {self.engines.unavailable}")

    def _check_room(self, caller: Caller) -> None:
        slots = self.engines.slots
        waiting = self.queued + self.running
        retry_after_ms = self.tally.retry_after_ms(waiting=waiting, slots=max(1, slots))
        self._admission.check(caller, loading=not slots, retry_after_ms=retry_after_ms)

    # --- requests end before their time --------------------------------------------------------------------

    def cancel(self, request_id: str, caller: str | None = None) -> bool:
        """End the request of that id, waiting or running; False where there is none.

        Args:
            request_id: Its id.
            caller: Whose; "" for callers without a name, None for any caller's.

        Raises:
            InvalidRequestError: Several callers have a request of that id, and `caller` does not say whose.
        """
        found = [
            each
            for each in self._admission
            if each.asked.id == request_id and caller in {None, each.key.caller}
        ]
        if len(found) > 1:
            raise InvalidRequestError(f"several clients have a request {request_id!r}: say whose with client")
        for request in found:
            self._endings.fail(request, _cancelled())
        return bool(found)

    def cancel_all(self, caller: str | None = None) -> int:
        """End all requests, or those of one caller ("" for callers without a name); return how many."""
        requests = [each for each in self._admission if caller in {None, each.key.caller}]
        for request in requests:
            self._endings.fail(request, _cancelled())
        return len(requests)

    def withdraw(self, request_id: str, caller: str, *, running: bool = False) -> float | None:
        """Take a request back that waits, without an end: whoever brought it has somebody else answer it.

        Args:
            request_id: Its id.
            caller: Whose; "" for callers without a name.
            running: Whether one that runs may be taken too.

        Returns:
            How many seconds it may still take; None where there is none that may be taken back.
        """
        request = self._admission.find(Key(caller, request_id))
        if request is None or not (running or request.state is State.WAITING):
            return None
        self._endings.withdraw(request, "is answered by another device")
        return max(0.0, request.deadline - self._clock())

    def waits(self, request_id: str, caller: str) -> bool:
        """Whether a request of that id waits; `caller` as in `withdraw`."""
        request = self._admission.find(Key(caller, request_id))
        return request is not None and request.state is State.WAITING

    def listed(self, *, client: str | None, limit: int) -> RequestList:
        """Return what has not ended: what runs, then what waits, in the order in which it will run.

        Args:
            client: Whose; "" for callers without a name, None for all.
            limit: How many at most.
        """
        return list_requests(self._admission, client=client, limit=limit, now=self._clock())

    def knows(self, session: Key) -> bool:
        """Whether a conversation is known here, or a request of it waits or runs."""
        return self._kinds.knows(session, self._clock()) or any(
            each.session == session for each in self._admission
        )

    def forget(self, callers: str) -> None:
        """Forget the conversations of callers whose name begins so: they have gone on elsewhere."""
        self._kinds.forget(callers)

    def close(self) -> None:
        """Begin nothing any more; what runs goes on.

        What waits, and what comes, ends, or waits for the next start where that will find it.
        """
        self.engines.closing = True
        for request in self._admission:
            # What is on its way to the disk is judged when all is over.
            if request.state is State.WAITING and not request.record.written:
                self._endings.fail(request, _shutting_down())

    def abandon(self) -> None:
        """End what is left, but for what the next start will find and answer."""
        self._abandoned = True
        for request in self._admission:
            begins_anew = not request.record.began or request.asked.on_crash is OnCrash.RERUN
            if request.record.kept and begins_anew:
                self._endings.withdraw(request, "waits for the next start")
            else:
                self._endings.fail(request, _shutting_down())

    # --- time passes ---------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """End what is overdue and send text that has waited long enough, for ever."""
        while True:
            now = self._clock()
            for request in self._admission.overdue(now):
                doing = request.state.name.lower()
                message = f"not complete after {request.deadline - request.arrived:g} s: it was still {doing}"
                self._endings.fail(request, DeadlineExceededError(message))
            for request in self.engines:
                request.stream.flush_due(now)
            await self._alarm.sleep(now, self._next_wake(now))

    def _next_wake(self, now: float) -> float | None:
        """Return when there is something to do next."""
        wakes = [self._admission.next_deadline()]
        wakes += [request.stream.next_flush(now) for request in self.engines]
        return min((wake for wake in wakes if wake is not None), default=None)


def _fingerprint(asked: AnyRequest) -> bytes:
    return hashlib.blake2b(asked.model_dump_json().encode(), digest_size=16).digest()


def _cancelled() -> CancelledRequestError:
    return CancelledRequestError("the request was cancelled")


def _shutting_down() -> ShuttingDownError:
    return ShuttingDownError("the device is shutting down: ask again when its status is online")
