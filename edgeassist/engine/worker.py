"""The engine's loop: plan → backend.step → commit → emit, with commands taken between steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from edgeassist.engine.backend import Backend
from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Command,
    Event,
    Failed,
    Finish,
    Finished,
    Heartbeat,
    ModelFacts,
    Piece,
    Prefilled,
    Start,
    Stop,
)
from edgeassist.engine.scheduler import Ending, Outcome, Running, Scheduler
from edgeassist.engine.text import TextStream
from edgeassist.errors import Code, EdgeAssistError

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0


@dataclass(slots=True)
class _Answer:
    """One request while it runs: its text, and when it passed which mark (seconds, monotonic)."""

    sequence: Running
    text: TextStream
    dropped: int
    started: float
    first_token: float | None = None


class Worker:
    """Serves requests with a loaded model, in the thread that calls `run`.

    Args:
        backend: Loaded.
        model: What was loaded; gives slots and context.
        step_tokens: The most tokens of one step.
        commands: Where the reader puts what the daemon sends.
        emit: Sends events, in one write per call.
    """

    def __init__(
        self,
        backend: Backend,
        model: ModelFacts,
        *,
        step_tokens: int,
        commands: SimpleQueue[Command],
        emit: Callable[[Iterable[Event]], None],
    ) -> None:
        self._backend = backend
        self._context = model.context
        self._scheduler = Scheduler(slots=model.slots, context=model.context, step_tokens=step_tokens)
        self._commands = commands
        self._emit = emit
        self._answers: dict[str, _Answer] = {}
        self._steps = 0
        self._last_beat = 0.0

    def run(self) -> None:
        """Serve until a `Stop` command."""
        while self._take_commands():
            if self._scheduler.running:
                self._step()
            self._beat()

    def _step(self) -> None:
        plan = self._scheduler.plan()
        try:
            sampled = self._backend.step(plan)
        except EdgeAssistError as error:
            self._fail_all(error)
            return
        self._steps += 1
        now = time.monotonic()
        events: list[Event] = []
        for outcome in self._scheduler.commit(plan, sampled):
            self._report(outcome, now, events)
        self._emit(events)

    def _take_commands(self) -> bool:
        """Carry out what the daemon sent; waits only while nothing runs. False at a `Stop`."""
        wait = not self._scheduler.running
        while True:
            try:
                command = self._commands.get(block=wait, timeout=HEARTBEAT_S)
            except Empty:
                return True
            wait = False
            match command:
                case Start():
                    self._start(command)
                case Cancel(id=request):
                    self._cancel(request)
                case Stop():
                    return False
                case _:
                    log.error("the engine does not expect %s now", type(command).__name__)

    def _start(self, request: Start) -> None:
        started = time.monotonic()
        try:
            prompt, dropped = self._fit(request)
            sequence = self._scheduler.admit(request.id, prompt, request.max_tokens)
        except EdgeAssistError as error:
            self._emit([Failed(request.id, error.code, error.message)])
            return
        try:
            self._backend.open(sequence.slot, request.sampling)
        except EdgeAssistError as error:
            self._scheduler.remove(sequence)
            self._emit([Failed(request.id, error.code, error.message)])
            return
        self._answers[request.id] = _Answer(sequence, TextStream(request.stop), dropped, started)

    def _fit(self, request: Start) -> tuple[list[int], int]:
        """Return the prompt's tokens, and how many messages of history were left out to make room."""
        messages = list(request.messages)
        room = self._context - min(request.max_tokens, self._context // 4)
        first = 1 if messages[0].role == "system" else 0
        prompt = list(self._backend.encode(messages))
        dropped = 0
        while len(prompt) > room and dropped < request.droppable:
            del messages[first : first + 2]
            dropped += 2
            prompt = list(self._backend.encode(messages))
        return prompt, dropped

    def _cancel(self, request: str) -> None:
        answer = self._answers.get(request)
        if answer is not None:
            self._release(answer)
            self._emit([Cancelled(request)])

    def _report(self, outcome: Outcome, now: float, events: list[Event]) -> None:
        sequence = outcome.sequence
        answer = self._answers[sequence.id]
        if outcome.token is None or answer.first_token is None:
            events.append(Prefilled(sequence.id, sequence.prefilled, 0, len(sequence.prompt)))
        if outcome.token is None:
            return
        if answer.first_token is None:
            answer.first_token = now
        ending = outcome.ending
        text = "" if ending is Ending.END_OF_TURN else answer.text.push(outcome.token.piece)
        ended = ending is not None or answer.text.stopped
        if ended:
            text += answer.text.finish()
        if text:
            events.append(Piece(sequence.id, text))
        if ended:
            self._release(answer)
            by_length = ending is Ending.LIMIT and not answer.text.stopped
            events.append(
                Finished(
                    sequence.id,
                    Finish.LENGTH if by_length else Finish.STOP,
                    prompt_tokens=len(sequence.prompt),
                    cached_tokens=0,
                    completion_tokens=sequence.generated,
                    prefill_ms=(answer.first_token - answer.started) * 1000,
                    decode_ms=(now - answer.first_token) * 1000,
                    dropped_messages=answer.dropped,
                ),
            )

    def _release(self, answer: _Answer) -> None:
        self._backend.close(answer.sequence.slot)
        self._scheduler.remove(answer.sequence)
        del self._answers[answer.sequence.id]

    def _fail_all(self, error: EdgeAssistError) -> None:
        log.error("a step failed: %s", error.message)
        answers = list(self._answers.values())
        for answer in answers:
            self._release(answer)
        self._emit([Failed(answer.sequence.id, Code.INTERNAL, error.message) for answer in answers])

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._last_beat >= HEARTBEAT_S:
            self._last_beat = now
            self._emit([Heartbeat(self._steps, self._scheduler.running)])
