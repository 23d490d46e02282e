"""The engine's loop: plan → backend.step → commit → emit, with commands taken between steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from edgeassist.engine.backends.base import Backend
from edgeassist.engine.kv.prefixes import Prefix, Prefixes
from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Command,
    Delta,
    Event,
    Failed,
    Finish,
    Finished,
    Heartbeat,
    Load,
    ModelFacts,
    Prefilled,
    Start,
    Stop,
    Threads,
)
from edgeassist.engine.pacing import Pacer
from edgeassist.engine.prompting.text import TextStream
from edgeassist.engine.prompting.transcripts import Encoded
from edgeassist.engine.scheduler import LEAST_SHARED, Scheduler
from edgeassist.engine.sequence import Ending, Outcome, Sequence
from edgeassist.engine.signals import KvFullError, StepAbortedError
from edgeassist.engine.speculation import Speculation
from edgeassist.errors import Code, EdgeAssistError

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0


@dataclass(slots=True)
class _Answer:
    """One request while it runs: its text, and when it passed which mark (seconds, monotonic).

    `computed` is the backend's clock at its start. `said` is all text so far, and `held` the end of it that
    no event has carried yet.
    """

    sequence: Sequence
    prompt: str
    text: TextStream
    dropped: int
    gather_s: float
    started: float
    computed: float
    first_token: float | None = None
    completion_tokens: int = 0
    said: list[str] = field(default_factory=list)
    held: str = ""
    last_piece: float | None = None

    def take(self, outcome: Outcome) -> bool:
        """Add the text of some tokens; return whether the answer has ended with them."""
        text = ""
        for token in outcome.tokens:
            if not token.ends and not self.text.stopped:
                text += self.text.push(token.piece)
                self.completion_tokens += 1
        ended = outcome.ending is not None or self.text.stopped
        if ended:
            text += self.text.finish()
        self.said.append(text)
        self.held += text
        return ended

    def due(self, now: float) -> bool:
        """Whether what is held has been gathered for long enough; the first text always has."""
        return self.last_piece is None or now - self.last_piece >= self.gather_s


def scheduler_for(options: Load, facts: ModelFacts) -> Scheduler:
    """Return the scheduler for a model that was loaded with these options."""
    return Scheduler(
        slots=facts.slots,
        context=facts.context,
        pacer=Pacer(target_s=options.step_ms / 1000, most=options.step_tokens),
        speculation=Speculation() if options.speculate and facts.guesses else None,
        rewinds=facts.rewinds,
    )


class Worker:
    """Serves requests with a loaded model, in the thread that calls `run`.

    Args:
        backend: Loaded.
        scheduler: Of the same slots.
        prefixes: Where the states of ended sequences are kept.
        context: Tokens that one sequence may have.
        commands: Where the reader puts what the daemon sends.
        emit: Sends events, in one write per call.
    """

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler,
        prefixes: Prefixes,
        *,
        context: int,
        commands: SimpleQueue[Command],
        emit: Callable[[Iterable[Event]], None],
    ) -> None:
        self._backend = backend
        self._context = context
        self._scheduler = scheduler
        self._prefixes = prefixes
        self._commands = commands
        self._emit = emit
        self._answers: dict[str, _Answer] = {}
        self._alone: str | None = None
        self._steps = 0
        self._last_beat = 0.0

    def run(self) -> None:
        """Serve until a `Stop` command."""
        while self._take_commands():
            if self._scheduler.running:
                self._step()
            self._beat()

    def interrupt(self, command: Command) -> None:
        """Cut the running step short if a command that was just queued makes it pointless. Any thread.

        An abort ends the step for everybody in it, so one request among several waits for the step's end.
        """
        match command:
            case Stop():
                self._backend.abort()
            case Cancel(id=request) if self._alone == request:
                self._backend.abort()
            case _:
                pass

    def _step(self) -> None:
        plan = self._scheduler.plan()
        self._alone = self._only()
        begun = time.monotonic()
        try:
            sampled = self._backend.step(plan)
        except StepAbortedError:
            return
        except KvFullError as error:
            if not self._scheduler.preempt(plan):
                self._fail_all(error)
            return
        except EdgeAssistError as error:
            self._fail_all(error)
            return
        finally:
            self._alone = None
        self._steps += 1
        now = time.monotonic()
        events: list[Event] = []
        ended = [
            answer
            for outcome in self._scheduler.commit(plan, sampled, now - begun)
            if (answer := self._report(outcome, now, events)) is not None
        ]
        self._emit(events)
        for answer in ended:
            self._release(answer)

    def _only(self) -> str | None:
        """Return the one request that runs; None where there are more."""
        return next(iter(self._answers)) if len(self._answers) == 1 else None

    def _take_commands(self) -> bool:
        """Carry out what the daemon sent; waits only while nothing runs. False at a `Stop`."""
        wait = not self._scheduler.running
        # What is queued from here on may abort again; what was queued before is taken now.
        self._backend.proceed()
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
                case Threads(decode=decode, prefill=prefill):
                    self._backend.use_threads(decode, prefill)
                case Stop():
                    return False
                case _:
                    log.error("the engine does not expect %s now", type(command).__name__)

    def _start(self, request: Start) -> None:
        started = time.monotonic()
        try:
            prompt, dropped = self._fit(request)
            sequence = self._scheduler.admit(
                request.id, prompt.tokens, request.max_tokens, shares=request.sampling.seed is None
            )
        except EdgeAssistError as error:
            self._emit([Failed(request.id, error.code, error.message)])
            return
        try:
            self._backend.open(sequence.slot, request.sampling)
        except EdgeAssistError as error:
            self._scheduler.remove(sequence)
            self._emit([Failed(request.id, error.code, error.message)])
            return
        if request.sampling.seed is None:
            self._take_over(sequence)
        self._answers[request.id] = _Answer(
            sequence,
            prompt.text,
            TextStream(request.stop),
            dropped,
            request.gather_ms / 1000,
            started,
            self._backend.computed_s,
        )

    def _take_over(self, sequence: Sequence) -> None:
        """Begin with what an ended sequence computed, unless one that runs will have as much to share."""
        # The last token is computed in any case: it yields the first of the answer.
        prefix, length = self._prefixes.best(sequence.tokens[:-1])
        if prefix is None or length < self._scheduler.shareable(sequence) + LEAST_SHARED:
            return
        taken = self._backend.restore(sequence.slot, prefix.state, length)
        if taken:
            self._scheduler.begin_at(sequence, taken)
            self._prefixes.touch(prefix)
        else:
            log.info("a prefix of %d tokens could not be taken over: it is computed again", length)

    def _fit(self, request: Start) -> tuple[Encoded, int]:
        """Return the prompt, and how many messages of history were left out to make room."""
        messages = list(request.messages)
        room = self._context - min(request.max_tokens, self._context // 4)
        first = 1 if messages[0].role == "system" else 0
        prompt = self._backend.encode(messages)
        dropped = 0
        while len(prompt.tokens) > room and dropped < request.droppable:
            del messages[first : first + 2]
            dropped += 2
            prompt = self._backend.encode(messages)
        return prompt, dropped

    def _cancel(self, request: str) -> None:
        answer = self._answers.get(request)
        if answer is not None:
            self._emit([Cancelled(request)])
            self._release(answer)

    def _report(self, outcome: Outcome, now: float, events: list[Event]) -> _Answer | None:
        """Add what there is to say; return the answer if it ended."""
        sequence = outcome.sequence
        answer = self._answers[sequence.id]
        if answer.first_token is None:
            events.append(Prefilled(sequence.id, sequence.prefilled, sequence.cached, sequence.prompt_tokens))
        if not outcome.tokens:
            return None
        if answer.first_token is None:
            answer.first_token = now
        ended = answer.take(outcome)
        if answer.held and (ended or answer.due(now)):
            events.append(Delta(sequence.id, answer.held))
            answer.held, answer.last_piece = "", now
        if not ended:
            return None
        if not answer.text.stopped:
            self._backend.remember(answer.prompt, "".join(answer.said), sequence.tokens)
        by_length = outcome.ending is Ending.LIMIT and not answer.text.stopped
        events.append(
            Finished(
                sequence.id,
                Finish.LENGTH if by_length else Finish.STOP,
                prompt_tokens=sequence.prompt_tokens,
                cached_tokens=sequence.cached,
                completion_tokens=answer.completion_tokens,
                prefill_ms=(answer.first_token - answer.started) * 1000,
                decode_ms=(now - answer.first_token) * 1000,
                dropped_messages=answer.dropped,
                overhead_ms=(now - answer.started - (self._backend.computed_s - answer.computed)) * 1000,
            ),
        )
        return answer

    def _release(self, answer: _Answer) -> None:
        """Free the slot; what it has computed is kept for prompts that begin alike."""
        sequence = answer.sequence
        computed = sequence.tokens[: sequence.computed]
        if len(computed) >= LEAST_SHARED and self._prefixes.wants(computed):
            self._prefixes.keep(Prefix(computed, self._backend.snapshot(sequence.slot)))
        self._drop(answer)

    def _drop(self, answer: _Answer) -> None:
        self._backend.close(answer.sequence.slot)
        self._scheduler.remove(answer.sequence)
        del self._answers[answer.sequence.id]

    def _fail_all(self, error: EdgeAssistError) -> None:
        log.error("a step failed: %s", error.message)
        answers = list(self._answers.values())
        events: list[Event] = []
        for answer in answers:
            self._drop(answer)
            if answer.held:
                events.append(Delta(answer.sequence.id, answer.held))
            events.append(Failed(answer.sequence.id, Code.INTERNAL, error.message))
        self._emit(events)

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._last_beat >= HEARTBEAT_S:
            self._last_beat = now
            self._emit([Heartbeat(self._steps, self._scheduler.running)])
