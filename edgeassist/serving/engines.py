"""What an engine's coming and going means for requests: what waits starts, is put back, or ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgeassist.engine.messages import Decide, Decided, Event, Finished, Start
from edgeassist.errors import (
    DeadlyPromptError,
    EdgeAssistError,
    EngineCrashedError,
    ModelLoadingError,
    ModelUnavailableError,
    UnsupportedError,
)
from edgeassist.protocol.asking import OnCrash
from edgeassist.protocol.calibration import UNCALIBRATED, Calibration
from edgeassist.serving.admission import Admission
from edgeassist.serving.alarm import Alarm
from edgeassist.serving.dispatcher import Dispatcher, Engine
from edgeassist.serving.endings import Endings, log_of
from edgeassist.serving.kinds import Kinds
from edgeassist.serving.request import Request, State

# How often a prompt may have been with an engine that died before its first text.
MAX_ATTEMPTS = 2
# How often an answer begins anew whose engine died in it, where its request asks for that: one that ends
# every engine must not do so for ever.
MAX_RERUNS = 2


class Engines:
    """The engine that serves, and the one whose place it took, as requests see them.

    Args:
        engine: Takes commands.
        admission: The requests that have not ended.
        kinds: Are told what the model can do.
        endings: End requests.
        alarm: Rung when text has to go out later.
        on_change: Called when the number of waiting or running requests changed.
        ready_in: Returns in how many seconds the model will be loaded; None where it is, or nothing tells.
        clock: Seconds of one monotonic clock.

    Attributes:
        model: The loaded model's name; None before the first.
        unavailable: Why no model can be had; None where one is, or will be.
        closing: Whether the daemon stops, so that nothing begins any more.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        admission: Admission,
        kinds: Kinds,
        endings: Endings,
        alarm: Alarm,
        on_change: Callable[[], None],
        ready_in: Callable[[], float | None],
        clock: Callable[[], float],
    ) -> None:
        self._admission = admission
        self._kinds = kinds
        self._endings = endings
        self._on_change = on_change
        self._ready_in = ready_in
        self._dispatcher = Dispatcher(engine, self, alarm, clock)
        self.unavailable: str | None = None
        self.closing = False
        self.model: str | None = None

    def __iter__(self) -> Iterator[Request]:
        """Yield the requests that run; ending one meanwhile does no harm."""
        return iter(self._dispatcher)

    @property
    def slots(self) -> int:
        """How many requests the engine takes at once; 0 while it is not ready."""
        return self._dispatcher.slots

    @property
    def leaving(self) -> int:
        """How many requests run on an engine whose place another took."""
        return self._dispatcher.leaving

    @property
    def held(self) -> bool:
        """Whether what waits is for another model (`hold`)."""
        return self._dispatcher.held

    def pump(self) -> None:
        """Start what waits while the engine has free slots."""
        self._dispatcher.pump()

    def ready(
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
        self.model, self._dispatcher.slots, self.unavailable = model, slots, None
        self._kinds.model_loaded(constrains=constrains, decides=decides, calibration=calibration)
        for request in self._admission:
            if request.state is not State.WAITING:
                continue
            try:
                self._kinds.check_model(request.asked, self.model)
            except UnsupportedError as error:
                self._endings.fail(request, error)
        self._dispatcher.pump()

    def lost(self, reason: str, *, planned: bool, leaving: bool = False) -> None:
        """An engine is gone: what had begun to stream ends, or begins anew; the rest waits for the next one.

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
            if request.stream.began and _may_rerun(request):
                self._begin_anew(request)
            elif request.stream.began and request.reruns and not innocent:
                ended = f"this prompt ended {MAX_RERUNS + 1} engines"
                self._endings.fail(request, DeadlyPromptError(f"{reason}: {ended}; change it"))
            elif request.stream.began:
                error = ModelLoadingError if planned else EngineCrashedError
                self._endings.fail(request, error(f"{reason}: ask again, a new engine is on its way"))
            elif request is suspect:
                self._endings.fail(
                    request, DeadlyPromptError(f"{reason}: it was reading this prompt; change it")
                )
            elif request.attempts >= MAX_ATTEMPTS:
                self._endings.fail(
                    request,
                    DeadlyPromptError(f"{reason}: this prompt ended {MAX_ATTEMPTS} engines; change it"),
                )
            else:
                log_of(request.asked.id, "waits for the next engine")
                self._admission.put_back(request)
        self._dispatcher.pump()
        self._on_change()

    def _begin_anew(self, request: Request) -> None:
        """Let a request wait again of which text had gone out, and say so."""
        log_of(request.asked.id, "begins anew with the next engine, as it asks for")
        request.reruns += 1
        request.attempts = 0
        self._admission.put_back(request)
        request.stream.anew()
        position = self._admission.position(request)
        request.stream.accepted(model=self.model, position=position, ready_in_s=self._ready_in())

    def asleep(self) -> None:
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

    def unusable(self, reason: str) -> None:
        """No model can be had: say so to all who wait."""
        self.unavailable = reason
        self._dispatcher.lose()
        for request in self._admission:
            self._endings.fail(request, ModelUnavailableError(f"there is no model to answer with: {reason}"))

    def hear(self, event: Event) -> None:
        """Take what the engine says of a request."""
        self._dispatcher.handle(event)

    def hold_back(self, reason: str | None) -> None:
        """Note why the engine computes with fewer threads than it could; None when it no longer does."""
        self._dispatcher.hold_back(reason)

    def next_request(self) -> Request | None:
        """Return the next request to run (`dispatcher.Work`)."""
        return None if self.closing else self._admission.start_next()

    def start_of(self, request: Request, job: str, now: float) -> Start | Decide:
        """Return the command that begins it (`dispatcher.Work`)."""
        request.model = self.model or ""
        return self._kinds.start_of(request, job, now)

    def started(self) -> None:
        """Note that the engine was given one (`dispatcher.Work`)."""
        self._on_change()

    def finish(self, request: Request, end: Finished | Decided, now: float) -> None:
        """End a request with its answer, or its decision (`dispatcher.Work`)."""
        self._endings.finish(request, end, now)

    def fail(self, request: Request, error: EdgeAssistError) -> None:
        """End a request with an error (`dispatcher.Work`)."""
        self._endings.fail(request, error)


def _may_rerun(request: Request) -> bool:
    return request.asked.on_crash is OnCrash.RERUN and request.reruns < MAX_RERUNS
