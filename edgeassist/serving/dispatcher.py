"""The way of a prompt through the daemon: take it in, queue it, run it, end it.

Whatever happens, every request that was accepted ends in exactly one terminal event. The pure rooms decide
(admission, conversation, replay, relay); this one connects them to the engine and to the broker.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Command,
    Delta,
    Event,
    Failed,
    Finished,
    Prefilled,
)
from edgeassist.errors import (
    CancelledRequestError,
    Code,
    DeadlineExceededError,
    EdgeAssistError,
    EngineCrashedError,
    InvalidRequestError,
    ModelLoadingError,
    ModelUnavailableError,
    ShuttingDownError,
    error_for,
)
from edgeassist.gateways.mqtt.intake import Asked, Refused, take_in
from edgeassist.protocol import events as protocol
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.topics import Topics
from edgeassist.serving.admission import Admission, Ticket
from edgeassist.serving.conversation import Conversations, Exchange
from edgeassist.serving.job import start_of
from edgeassist.serving.policy import Policy
from edgeassist.serving.relay import Relay
from edgeassist.serving.replay import Replays
from edgeassist.serving.telemetry import Tally

log = logging.getLogger(__name__)

# A prompt that killed the engine twice before its first word is not tried a third time.
MAX_ATTEMPTS = 2
SEEN_PACKETS = 64
CONGESTED_RETRY_S = 0.05


class Engine(Protocol):
    """What the dispatcher needs of the supervisor."""

    def send(self, command: Command) -> None:
        """Tell the engine."""
        ...


@dataclass(slots=True)
class _Active:
    """A request that waits or runs. `job` is its id in the engine, once it is there.

    Its ticket's id is its own and its client's: two clients may use the same.
    """

    asked: Asked
    ticket: Ticket
    relay: Relay
    digest: bytes
    attempts: int = 0
    job: str | None = None

    @property
    def id(self) -> str:
        """The id that the client knows."""
        return self.asked.request.id


@dataclass
class Dispatcher:
    """Connects requests, engine and replies.

    Attributes:
        topics: Where things are said.
        policy: Replaced whole by `apply`.
        engine: Takes jobs.
        publish: Sends a message.
        congested: Whether the broker can't take more at the moment.
        on_change: Called when the number of waiting or running requests changed.
        on_end: Called when a request has ended: whose it was, what it was (None where it could not be read),
            and its terminal event.
        slots: How many jobs the engine takes; 0 while it is not ready.
        unavailable: Why no model can be had, while that is so.
    """

    topics: Topics
    policy: Policy
    engine: Engine
    publish: Callable[[Outbound], bool]
    congested: Callable[[], bool]
    on_change: Callable[[], None]
    on_end: Callable[[str | None, PromptRequest | None, protocol.Done | protocol.Failed], None]
    tally: Tally = field(default_factory=Tally)
    slots: int = 0
    model: str | None = None
    unavailable: str | None = None
    _admission: Admission = field(init=False)
    _conversations: Conversations = field(init=False)
    _replays: Replays = field(init=False)
    _closing: bool = False
    _held_back: str | None = None
    _active: dict[str, _Active] = field(default_factory=dict)
    _jobs: dict[str, _Active] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _seen: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=SEEN_PACKETS))
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _wake_at: float | None = None

    def __post_init__(self) -> None:
        self._admission = Admission(self.policy.limits)
        self._conversations = Conversations(self.policy.bounds)
        self._replays = Replays(self.policy.remember_s)

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return self._admission.queued

    @property
    def running(self) -> int:
        """How many requests run."""
        return self._admission.running

    def apply(self, policy: Policy) -> None:
        """Go by other settings from now on; requests under way keep theirs."""
        self.policy = policy
        self._admission.apply(policy.limits)
        self._conversations.bounds = policy.bounds
        self._replays.remember_s = policy.remember_s

    # --- requests come in ----------------------------------------------------------------------------------

    def receive(self, message: Inbound, client: str | None) -> None:
        """Take a prompt: answer it, queue it or refuse it."""
        if message.retained:
            log.info("ignored a retained message on %s: a prompt must not be retained", message.topic)
            return
        digest = _digest(message)
        if message.redelivered and (message.packet_id, digest) in self._seen:
            log.info("ignored a prompt that the broker delivered again on %s", message.topic)
            return
        self._seen.append((message.packet_id, digest))
        now = time.monotonic()
        self.tally.requests += 1
        match take_in(message, client, self.topics, self.policy.rules):
            case Refused(error=error) as refused:
                relay = self._relay(refused.request, refused, now)
                self._refuse(refused.request, relay, error, client, request=None)
            case Asked() as asked:
                self._admit(asked, digest, now)

    def _admit(self, asked: Asked, digest: bytes, now: float) -> None:
        request = asked.request
        key = f"{asked.client or ''}/{request.id}"
        finals = self._replays.find(key, digest, now)
        if finals is not None:
            _log(request.id, "came again and gets the same answer again")
            for final in finals:
                self.publish(final)
            return
        known = self._active.get(key)
        if known is not None and known.digest == digest:
            _log(request.id, "came again while it is being answered")
            return
        relay = self._relay(request.id, asked, now)
        try:
            if known is not None:
                raise InvalidRequestError(
                    f"the id {request.id!r} is taken by a request under way: use another"
                )
            self._check_open()
            ticket = self._ticket(key, asked, now)
            self._check_session(ticket, request, now)
            position = self._offer(ticket)
        except EdgeAssistError as error:
            self._refuse(request.id, relay, error, asked.client, request)
            return
        self._active[key] = _Active(asked, ticket, relay, digest)
        relay.accepted(model=self.model, position=position, cancel=self.topics.command("cancel"))
        self._wake_by(ticket.deadline)
        self._pump()
        self.on_change()

    def _check_open(self) -> None:
        if self._closing:
            raise ShuttingDownError("the device is shutting down: try again when its status is online")
        if self.unavailable is not None:
            raise ModelUnavailableError(f"there is no model to answer with: {self.unavailable}")

    def _check_session(self, ticket: Ticket, request: PromptRequest, now: float) -> None:
        if not request.resume or request.session is None or ticket.session is None:
            return
        # One that began a moment ago is known too, though its first answer is not complete.
        if all(active.ticket.session != ticket.session for active in self._active.values()):
            self._conversations.require(ticket.session, request.session, now)

    def _offer(self, ticket: Ticket) -> int:
        retry_after_ms = self.tally.retry_after_ms(
            waiting=self._admission.queued + self._admission.running, slots=max(1, self.slots)
        )
        try:
            return self._admission.offer(ticket, retry_after_ms=retry_after_ms)
        except EdgeAssistError as error:
            if error.code is Code.BUSY and not self.slots:
                message = f"the model is still loading, and {error.message}"
                raise ModelLoadingError(message, retry_after_ms=retry_after_ms) from None
            raise

    def _ticket(self, key: str, asked: Asked, now: float) -> Ticket:
        request = asked.request
        client = asked.client or ""
        timeout = request.timeout_s or self.policy.timeout_s
        if asked.expiry_s is not None:
            timeout = min(timeout, asked.expiry_s)
        return Ticket(
            id=key,
            client=client,
            priority=request.priority,
            arrived=now,
            deadline=now + timeout,
            session=None if request.session is None else f"{client}/{request.session}",
        )

    def _relay(self, request: str, source: Asked | Refused, now: float) -> Relay:
        return Relay(
            request,
            source.reply_to,
            pace=self.policy.pace,
            device=self.topics.device,
            arrived=now,
            publish=self.publish,
            metadata=source.metadata,
        )

    def _refuse(
        self,
        name: str,
        relay: Relay,
        error: EdgeAssistError,
        client: str | None,
        request: PromptRequest | None,
    ) -> None:
        _log(name, f"was refused: {error.code}: {error.message}")
        self.tally.count_error(error.code)
        self.on_end(client, request, relay.failed(error, time.monotonic()))

    # --- to the engine and back ----------------------------------------------------------------------------

    def engine_ready(self, model: str, slots: int) -> None:
        """An engine serves: start what waits."""
        self.model, self.slots, self.unavailable = model, slots, None
        self._pump()

    def engine_lost(self, reason: str) -> None:
        """The engine is gone: what had begun to stream ends, what had not waits for the next one."""
        self.slots = 0
        jobs, self._jobs = self._jobs, {}
        for active in jobs.values():
            active.job = None
            if active.relay.ended:
                continue
            if active.relay.began or active.attempts >= MAX_ATTEMPTS:
                self._fail(active, EngineCrashedError(f"{reason}: ask again, a new engine is on its way"))
            else:
                _log(active.id, "waits for the next engine")
                self._admission.put_back(active.ticket.id)
        self.on_change()

    def engine_unusable(self, reason: str) -> None:
        """No model can be had: say so to all who wait."""
        self.slots, self.unavailable = 0, reason
        self._jobs.clear()
        for active in list(self._active.values()):
            self._fail(active, ModelUnavailableError(f"there is no model to answer with: {reason}"))

    def engine_event(self, event: Event) -> None:
        """Take what the engine says of a job."""
        now = time.monotonic()
        match event:
            case Prefilled(id=job, processed=processed, cached=cached, total=total):
                active = self._jobs.get(job)
                if active is not None and not active.relay.ended:
                    active.relay.progress(processed=processed, cached=cached, total=total, now=now)
            case Delta(id=job, text=text):
                active = self._jobs.get(job)
                if active is not None and not active.relay.ended:
                    self._take_text(active.relay, text, now)
            case Finished(id=job):
                active = self._free(job)
                if active is not None and not active.relay.ended:
                    self._finish(active, event, now)
                self._pump()
            case Failed(id=job, code=code, message=message):
                active = self._free(job)
                if active is not None and not active.relay.ended:
                    self._fail(active, error_for(code, message))
                self._pump()
            case Cancelled(id=job):
                self._free(job)
                self._pump()

    def _pump(self) -> None:
        """Start what waits while the engine has free slots."""
        while len(self._jobs) < self.slots and (ticket := self._admission.take()) is not None:
            active = self._active[ticket.id]
            active.attempts += 1
            active.job = str(next(self._numbers))
            self._jobs[active.job] = active
            now = time.monotonic()
            active.relay.started(now)
            active.relay.held_back = self._held_back
            session = active.ticket.session
            history = [] if session is None else self._conversations.recall(session, now)
            self.engine.send(start_of(active.job, active.asked.request, history, self.policy))
            self.on_change()

    def hold_back(self, reason: str | None) -> None:
        """Note why the engine computes with fewer threads than it could, or that it no longer does."""
        self._held_back = reason
        for active in self._jobs.values():
            active.relay.held_back = reason or active.relay.held_back

    def _free(self, job: str) -> _Active | None:
        active = self._jobs.pop(job, None)
        if active is not None:
            active.job = None
        return active

    def _take_text(self, relay: Relay, text: str, now: float) -> None:
        relay.piece(text, now, hold=self.congested())
        due = relay.next_flush()
        if due is not None:
            self._wake_by(due)

    def _finish(self, active: _Active, finished: Finished, now: float) -> None:
        request = active.asked.request
        done = active.relay.done(finished, model=self.model or "", session=request.session, now=now)
        self.tally.count_done(done)
        self._replays.remember(active.ticket.id, active.digest, active.relay.finals, now)
        if active.ticket.session is not None and request.prompt is not None:
            self._conversations.remember(active.ticket.session, Exchange(request.prompt, done.text), now)
        self._forget(active)
        self.on_end(active.asked.client, request, done)

    # --- requests end before their time --------------------------------------------------------------------

    def cancel(self, request: str, client: str | None = None) -> bool:
        """End that request, waiting or running; False where there is none.

        Raises:
            InvalidRequestError: Several clients have a request of that id, and `client` does not say whose.
        """
        found = [
            active
            for active in self._active.values()
            if active.id == request and client in {None, active.asked.client}
        ]
        if len(found) > 1:
            raise InvalidRequestError(f"several clients have a request {request!r}: say whose with client")
        for active in found:
            self._fail(active, _cancelled())
        return bool(found)

    def cancel_all(self) -> int:
        """End all requests; return how many."""
        active = list(self._active.values())
        for each in active:
            self._fail(each, _cancelled())
        return len(active)

    def close(self) -> None:
        """Refuse what comes, and end what waits; what runs goes on."""
        self._closing = True
        for active in list(self._active.values()):
            if active.job is None:
                self._fail(active, _going_down())

    def abandon(self) -> None:
        """End what still runs."""
        for active in list(self._active.values()):
            self._fail(active, _going_down())

    def _fail(self, active: _Active, error: EdgeAssistError) -> None:
        _log(active.id, f"ended: {error.code}: {error.message}")
        self.tally.count_error(error.code)
        failed = active.relay.failed(error, time.monotonic())
        if active.job is not None:
            # The slot is free when the engine says so, not yet.
            self.engine.send(Cancel(active.job))
        self._forget(active)
        self.on_end(active.asked.client, active.asked.request, failed)

    def _forget(self, active: _Active) -> None:
        self._admission.end(active.ticket.id)
        del self._active[active.ticket.id]
        self.on_change()

    # --- time passes ---------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """End what is overdue and send text that has waited long enough, for ever."""
        while True:
            now = time.monotonic()
            for ticket in self._admission.overdue(now):
                doing = "waiting" if self._active[ticket.id].job is None else "running"
                message = f"not complete after {ticket.deadline - ticket.arrived:g} s: it was still {doing}"
                self._fail(self._active[ticket.id], DeadlineExceededError(message))
            self._flush(now)
            self._wake.clear()
            self._wake_at = self._next_wake(now)
            try:
                async with asyncio.timeout(None if self._wake_at is None else self._wake_at - now):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _flush(self, now: float) -> None:
        if self.congested():
            return
        for active in self._jobs.values():
            if not active.relay.ended and active.relay.due(now):
                active.relay.flush(now)

    def _next_wake(self, now: float) -> float | None:
        flushes = [due for active in self._jobs.values() if (due := active.relay.next_flush()) is not None]
        wakes = [max(due, now + CONGESTED_RETRY_S if self.congested() else due) for due in flushes]
        deadline = self._admission.next_deadline()
        return min([*wakes, *([] if deadline is None else [deadline])], default=None)

    def _wake_by(self, at: float) -> None:
        if self._wake_at is None or at < self._wake_at:
            self._wake.set()


def _digest(message: Inbound) -> bytes:
    """Return what tells one message from another: what was asked, where, and where the answer goes."""
    parts = [message.topic.encode(), (message.response_topic or "").encode(), message.correlation or b""]
    lengths = ",".join(str(len(part)) for part in parts).encode()
    return hashlib.blake2b(b"\0".join([lengths, *parts, message.payload]), digest_size=16).digest()


def _cancelled() -> CancelledRequestError:
    return CancelledRequestError("the request was cancelled")


def _going_down() -> ShuttingDownError:
    return ShuttingDownError("the device is shutting down: ask again when its status is online")


def _log(request: str, message: str) -> None:
    """Log what happened to a request; the journal keeps its id as a field."""
    log.info("request %s %s", request, message, extra={"request_id": request})
