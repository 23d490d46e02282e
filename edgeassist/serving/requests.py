"""The way of a request through the daemon: submitted, queued, run, ended.

Whatever happens, every request that was submitted ends in exactly one terminal event at its sink. A request
comes with its caller and its sink; no transport is known here.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable

from pydantic import JsonValue

from edgeassist.engine.messages import Decide, Decided, Event, Finished, Start
from edgeassist.errors import (
    CancelledRequestError,
    DeadlineExceededError,
    DeadlyPromptError,
    EdgeAssistError,
    EngineCrashedError,
    InvalidRequestError,
    ModelLoadingError,
    ModelUnavailableError,
    ShuttingDownError,
    UnsupportedError,
)
from edgeassist.protocol.calibration import UNCALIBRATED, Calibration
from edgeassist.protocol.events import Done, Failed, said_again
from edgeassist.serving.admission import Admission
from edgeassist.serving.alarm import Alarm
from edgeassist.serving.caller import Caller, Key
from edgeassist.serving.dispatcher import Dispatcher, Engine
from edgeassist.serving.journal import Durable, Found, Journal, NoJournal
from edgeassist.serving.kinds import Kinds
from edgeassist.serving.policy import Policy
from edgeassist.serving.record import Record
from edgeassist.serving.replay import Replays
from edgeassist.serving.request import AnyRequest, Request, State
from edgeassist.serving.sink import Sink
from edgeassist.serving.stream import Stream
from edgeassist.serving.telemetry import Tally

log = logging.getLogger(__name__)

# How often a prompt may have been with an engine that died before its first text.
MAX_ATTEMPTS = 2
# What an earlier run said of a request had smaller numbers, and as large ones are still expected in packets.
SEQ_AFTER_START = 1_000_000

# Told of every end: who asked for what (None where it could not be read), and the terminal event.
OnEnd = Callable[[Caller, AnyRequest | None, Done | Failed], None]


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
        model: The loaded model's name; None before the first.
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
        self._device = device
        self._ready_in = ready_in
        self._policy = policy
        self._on_change = on_change
        self._on_end = on_end
        self._journal = NoJournal() if journal is None else journal
        self._clock = clock
        self._admission = Admission(policy.limits)
        self._kinds = Kinds(policy)
        self._replays = Replays(policy.remember_s)
        self._alarm = Alarm()
        self._dispatcher = Dispatcher(engine, self, self._alarm, clock)
        self._closing = False
        self._unavailable: str | None = None
        self.model: str | None = None
        self.tally = Tally()

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return self._admission.queued

    @property
    def running(self) -> int:
        """How many requests run."""
        return self._admission.running

    @property
    def slots(self) -> int:
        """How many requests the engine takes at once; 0 while it is not ready."""
        return self._dispatcher.slots

    @property
    def leaving(self) -> int:
        """How many requests run on an engine whose place another took."""
        return self._dispatcher.leaving

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
            _log(asked.id, "came again and gets the same answer again")
            record.send(said_again(answered))
            return
        known = self._admission.find(key)
        if known is not None and known.fingerprint == fingerprint:
            _log(asked.id, "came again while it is being answered")
            if durable is not None:
                known.record.when_safe(durable.on_safe)
            return
        stream = self._stream(asked.id, record, now, chunks=asked.streams, metadata=asked.metadata)
        deadline = now + self._timeout_s(asked, caller)
        request = Request(asked, caller, fingerprint, stream, record, now, deadline)
        try:
            if known is not None:
                raise InvalidRequestError(_taken(asked.id))
            self._check_open()
            self._kinds.check_model(asked, self.model)
            self._kinds.check_session(request, self._admission)
            self._check_room(caller)
        except EdgeAssistError as error:
            self._refuse(asked.id, caller, record, stream, error, asked=asked)
            return
        record.admit(key, fingerprint, deadline - now)
        self._add(request)

    def _add(self, request: Request) -> None:
        position = self._admission.add(request)
        request.stream.accepted(model=self.model, position=position, ready_in_s=self._ready_in())
        self._alarm.by(request.deadline)
        self._dispatcher.pump()
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
        stream = self._stream(request_id, record, self._clock(), metadata=metadata)
        self._refuse(request_id, caller, record, stream, error)

    def _refuse(
        self,
        request_id: str,
        caller: Caller,
        record: Record,
        stream: Stream,
        error: EdgeAssistError,
        *,
        asked: AnyRequest | None = None,
    ) -> None:
        _log(request_id, f"was refused: {error.code}: {error.message}")
        self.tally.count_error(error.code)
        failed = stream.failed(error, self._clock())
        record.when_said(lambda: self._on_end(caller, asked, failed))

    def _stream(
        self,
        request_id: str,
        sink: Sink,
        now: float,
        *,
        chunks: bool = True,
        first_seq: int = 0,
        metadata: dict[str, JsonValue] | None = None,
    ) -> Stream:
        return Stream(
            request_id,
            sink,
            pace=self._policy.pace,
            device=self._device,
            arrived=now,
            chunks=chunks,
            first_seq=first_seq,
            metadata=metadata,
        )

    def _timeout_s(self, asked: AnyRequest, caller: Caller) -> float:
        timeout = asked.timeout_s or self._policy.timeout_s
        return timeout if caller.expiry_s is None else min(timeout, caller.expiry_s)

    def _check_open(self) -> None:
        if self._closing:
            raise ShuttingDownError("the device is shutting down: try again when its status is online")
        if self._unavailable is not None:
            raise ModelUnavailableError(f"there is no model to answer with: {self._unavailable}")

    def _check_room(self, caller: Caller) -> None:
        slots = self._dispatcher.slots
        waiting = self.queued + self.running
        retry_after_ms = self.tally.retry_after_ms(waiting=waiting, slots=max(1, slots))
        self._admission.check(caller, loading=not slots, retry_after_ms=retry_after_ms)

    # --- an earlier run has left them (`recovery.Recovering`) ----------------------------------------------

    def recall(self, found: Found, done: Done, now: float) -> None:
        """Answer repeats of a request that has ended."""
        self._replays.remember(found.entry.key, found.entry.fingerprint, done, now - found.ended_s)

    def resume(self, asked: AnyRequest, caller: Caller, record: Record, found: Found, now: float) -> None:
        """Let a request wait again, in its place by its age; it counts for no quota."""
        entry, arrived = found.entry, now - found.elapsed_s
        stream = self._stream(asked.id, record, arrived, chunks=asked.streams, metadata=asked.metadata)
        deadline = arrived + entry.timeout_s
        request = Request(asked, caller, entry.fingerprint, stream, record, arrived, deadline)
        known = self._admission.find(entry.key)
        if known is not None and known.fingerprint == entry.fingerprint:  # asked again since
            self._journal.forget(found.number)
            return
        try:
            if known is not None:
                raise InvalidRequestError(_taken(asked.id))
            self._kinds.check_model(asked, self.model)
            self._kinds.check_session(request, self._admission)
        except EdgeAssistError as error:
            self.give_up(asked, caller, record, found, error)
            return
        _log(asked.id, "waits again, from before the start")
        self._add(request)

    def give_up(
        self,
        asked: AnyRequest | None,
        caller: Caller,
        record: Record,
        found: Found,
        error: EdgeAssistError,
    ) -> None:
        """End a request that was accepted and can't be answered."""
        metadata = None if asked is None else asked.metadata
        stream = self._stream(
            found.entry.key.name, record, self._clock(), first_seq=SEQ_AFTER_START, metadata=metadata
        )
        self._refuse(found.entry.key.name, caller, record, stream, error, asked=asked)

    # --- to the engine and back ----------------------------------------------------------------------------

    def engine_ready(
        self,
        model: str,
        slots: int,
        *,
        constrains: bool,
        decides: bool,
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        """An engine serves: start what waits. What another one has, whose place it takes, goes on there.

        Args:
            model: The name of what it has loaded.
            slots: How many requests it takes at once.
            constrains: Whether it can bind an answer.
            decides: Whether it makes decisions.
            calibration: By what these are made honest.
        """
        self._dispatcher.go_over()
        self.model, self._dispatcher.slots, self._unavailable = model, slots, None
        self._kinds.model_loaded(constrains=constrains, decides=decides, calibration=calibration)
        for request in self._admission:
            if request.state is not State.WAITING:
                continue
            try:
                self._kinds.check_model(request.asked, self.model)
            except UnsupportedError as error:
                self.fail(request, error)
        self._dispatcher.pump()

    def engine_lost(self, reason: str, *, planned: bool, leaving: bool = False) -> None:
        """An engine is gone: what had begun to stream ends, the rest waits for the next one.

        Args:
            reason: Why, for a person.
            planned: Whether it was replaced on purpose, which is no prompt's fault.
            leaving: Whether it is the one whose place another took.
        """
        if not leaving:
            self._kinds.model_lost()
        suspect = None if planned else self._dispatcher.encoded(leaving=leaving)
        # A decision, or another one's prompt, is not the fault of what merely waited.
        innocent = planned or self._dispatcher.encodes(leaving=leaving)
        for request in self._dispatcher.lose(leaving=leaving):
            request.attempts -= innocent
            if request.stream.began:
                error = ModelLoadingError if planned else EngineCrashedError
                self.fail(request, error(f"{reason}: ask again, a new engine is on its way"))
            elif request is suspect:
                self.fail(request, DeadlyPromptError(f"{reason}: it was reading this prompt; change it"))
            elif request.attempts >= MAX_ATTEMPTS:
                self.fail(
                    request,
                    DeadlyPromptError(f"{reason}: this prompt ended {MAX_ATTEMPTS} engines; change it"),
                )
            else:
                _log(request.asked.id, "waits for the next engine")
                self._admission.put_back(request)
        self._dispatcher.pump()
        self._on_change()

    def engine_asleep(self) -> None:
        """The engine was ended because nothing runs: what comes waits, and is for the same model."""
        for request in self._dispatcher.lose():
            self._admission.put_back(request)

    def hold(self) -> None:
        """Let what waits, and what comes, wait for another model, until `release`."""
        self._dispatcher.held = True
        self._kinds.model_lost()
        self.model = None

    def release(self) -> None:
        """Start what waits again."""
        self._dispatcher.held = False
        self._dispatcher.pump()

    def engine_unusable(self, reason: str) -> None:
        """No model can be had: say so to all who wait."""
        self._unavailable = reason
        self._dispatcher.lose()
        for request in self._admission:
            self.fail(request, ModelUnavailableError(f"there is no model to answer with: {reason}"))

    def engine_event(self, event: Event) -> None:
        """Take what the engine says of a request."""
        self._dispatcher.handle(event)

    def hold_back(self, reason: str | None) -> None:
        """Note why the engine computes with fewer threads than it could; None when it no longer does."""
        self._dispatcher.hold_back(reason)

    def next_request(self) -> Request | None:
        """Return the next request to run (`dispatcher.Work`)."""
        return self._admission.start_next()

    def start_of(self, request: Request, job: str, now: float) -> Start | Decide:
        """Return the command that begins it (`dispatcher.Work`)."""
        request.model = self.model or ""
        return self._kinds.start_of(request, job, now)

    def started(self) -> None:
        """Note that the engine was given one (`dispatcher.Work`)."""
        self._on_change()

    def finish(self, request: Request, end: Finished | Decided, now: float) -> None:
        """End a request with its answer, or its decision (`dispatcher.Work`)."""
        try:
            done = self._kinds.finish(request, end, now=now)
        except EdgeAssistError as error:
            self.fail(request, error)
            return
        self.tally.count_done(done)
        self._replays.remember(request.key, request.fingerprint, done, now)
        self._end(request, done)

    def fail(self, request: Request, error: EdgeAssistError) -> None:
        """End a request with an error (`dispatcher.Work`)."""
        _log(request.asked.id, f"ended: {error.code}: {error.message}")
        self.tally.count_error(error.code)
        failed = request.stream.failed(error, self._clock())
        self._dispatcher.cancel(request)
        self._end(request, failed)

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
            self.fail(request, _cancelled())
        return bool(found)

    def cancel_all(self, caller: str | None = None) -> int:
        """End all requests, or those of one caller ("" for callers without a name); return how many."""
        requests = [each for each in self._admission if caller in {None, each.key.caller}]
        for request in requests:
            self.fail(request, _cancelled())
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
        _log(request_id, "is answered by another device")
        self._dispatcher.cancel(request)
        self._admission.end(request)
        self._on_change()
        return max(0.0, request.deadline - self._clock())

    def waits(self, request_id: str, caller: str) -> bool:
        """Whether a request of that id waits; `caller` as in `withdraw`."""
        request = self._admission.find(Key(caller, request_id))
        return request is not None and request.state is State.WAITING

    def knows(self, session: Key) -> bool:
        """Whether a conversation is known here, or a request of it waits or runs."""
        return self._kinds.knows(session, self._clock()) or any(
            each.session == session for each in self._admission
        )

    def forget(self, callers: str) -> None:
        """Forget the conversations of callers whose name begins so: they have gone on elsewhere."""
        self._kinds.forget(callers)

    def close(self) -> None:
        """Refuse what comes, and end what waits; what runs goes on."""
        self._closing = True
        for request in self._admission:
            if request.state is State.WAITING:
                self.fail(request, _shutting_down())

    def abandon(self) -> None:
        """End what still runs."""
        for request in self._admission:
            self.fail(request, _shutting_down())

    def _end(self, request: Request, event: Done | Failed) -> None:
        self._admission.end(request)
        self._on_change()
        request.record.when_said(lambda: self._on_end(request.caller, request.asked, event))

    # --- time passes ---------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """End what is overdue and send text that has waited long enough, for ever."""
        while True:
            now = self._clock()
            for request in self._admission.overdue(now):
                doing = request.state.name.lower()
                message = f"not complete after {request.deadline - request.arrived:g} s: it was still {doing}"
                self.fail(request, DeadlineExceededError(message))
            for request in self._dispatcher:
                request.stream.flush_due(now)
            await self._alarm.sleep(now, self._next_wake(now))

    def _next_wake(self, now: float) -> float | None:
        """Return when there is something to do next."""
        wakes = [self._admission.next_deadline()]
        wakes += [request.stream.next_flush(now) for request in self._dispatcher]
        return min((wake for wake in wakes if wake is not None), default=None)


def _fingerprint(asked: AnyRequest) -> bytes:
    return hashlib.blake2b(asked.model_dump_json().encode(), digest_size=16).digest()


def _taken(request_id: str) -> str:
    return f"the id {request_id!r} is taken by a request under way: use another"


def _cancelled() -> CancelledRequestError:
    return CancelledRequestError("the request was cancelled")


def _shutting_down() -> ShuttingDownError:
    return ShuttingDownError("the device is shutting down: ask again when its status is online")


def _log(request: str, message: str) -> None:
    """Log what happened to a request; the journal keeps its id as a field."""
    log.info("request %s %s", request, message, extra={"request_id": request})
