"""How requests end: each once, with all that follows from it. Sans-I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeassist.engine.messages import Cancel, Decided, Finished
from edgeassist.errors import EdgeAssistError
from edgeassist.protocol.events import Done, Failed
from edgeassist.serving.admission import Admission
from edgeassist.serving.caller import Caller
from edgeassist.serving.dispatcher import Engine
from edgeassist.serving.kinds import Kinds
from edgeassist.serving.record import Record
from edgeassist.serving.replay import Replays
from edgeassist.serving.request import AnyRequest, Request
from edgeassist.serving.stream import Stream
from edgeassist.serving.telemetry import Tally

log = logging.getLogger(__name__)

# Told of every end: who asked for what (None where it could not be read), and the terminal event.
OnEnd = Callable[[Caller, AnyRequest | None, Done | Failed], None]


class Endings:
    """Ends requests.

    Args:
        engine: Is told that a request needs no answer any more.
        admission: The requests that have not ended.
        kinds: Make an answer's end of what the engine says.
        replays: Answer the repeats of what has ended.
        tally: Counts what happened.
        on_change: Called when the number of waiting or running requests changed.
        on_end: Called when a request has ended.
        clock: Seconds of one monotonic clock.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        admission: Admission,
        kinds: Kinds,
        replays: Replays,
        tally: Tally,
        on_change: Callable[[], None],
        on_end: OnEnd,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._admission = admission
        self._kinds = kinds
        self._replays = replays
        self._tally = tally
        self._on_change = on_change
        self._on_end = on_end
        self._clock = clock

    def refuse(
        self,
        request_id: str,
        caller: Caller,
        record: Record,
        stream: Stream,
        error: EdgeAssistError,
        *,
        asked: AnyRequest | None = None,
    ) -> None:
        """End what is no request of ours: it was refused, or can't be answered any more."""
        log_of(request_id, f"was refused: {error.code}: {error.message}")
        self._tally.count_error(error.code)
        failed = stream.failed(error, self._clock())
        record.when_said(lambda: self._on_end(caller, asked, failed))

    def finish(self, request: Request, end: Finished | Decided, now: float) -> None:
        """End a request with its answer, or its decision (`dispatcher.Work`)."""
        try:
            done = self._kinds.finish(request, end, now=now)
        except EdgeAssistError as error:
            self.fail(request, error)
            return
        self._tally.count_done(done)
        self._replays.remember(request.key, request.fingerprint, done, now)
        self._end(request, done)

    def fail(self, request: Request, error: EdgeAssistError) -> None:
        """End a request with an error (`dispatcher.Work`)."""
        log_of(request.asked.id, f"ended: {error.code}: {error.message}")
        self._tally.count_error(error.code)
        failed = request.stream.failed(error, self._clock())
        self._cancel(request)
        self._end(request, failed)

    def withdraw(self, request: Request, why: str) -> None:
        """Let go of a request without an end: another device answers it, or the next start."""
        log_of(request.asked.id, why)
        self._cancel(request)
        self._admission.end(request)
        self._on_change()

    def _cancel(self, request: Request) -> None:
        """Tell the engine to end a request, if it has it."""
        if request.job is not None:
            self._engine.send(Cancel(request.job))

    def _end(self, request: Request, event: Done | Failed) -> None:
        self._admission.end(request)
        self._on_change()
        request.record.when_said(lambda: self._on_end(request.caller, request.asked, event))


def log_of(request: str, message: str) -> None:
    """Log what happened to a request; the journal keeps its id as a field."""
    log.info("request %s %s", request, message, extra={"request_id": request})
