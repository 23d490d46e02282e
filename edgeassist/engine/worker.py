"""The engine's loop: plan, run, commit, with commands taken between steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

from edgeassist.engine.answer import Answer
from edgeassist.engine.backends.base import LoadedModel
from edgeassist.engine.deciding.branches import Inquiry
from edgeassist.engine.deciding.running import Decisions
from edgeassist.engine.encoder import Encoder, Prompt
from edgeassist.engine.following import budget_of, follow, opening
from edgeassist.engine.foresight import Foresight
from edgeassist.engine.kv.keeping import Keeper
from edgeassist.engine.kv.prefixes import Kind, Prefix, Prefixes
from edgeassist.engine.kv.stops import Stopping
from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Command,
    Decide,
    Event,
    Failed,
    Heartbeat,
    Load,
    ModelFacts,
    Prefilled,
    Start,
    Stop,
    Threads,
)
from edgeassist.engine.pacing import Pacer
from edgeassist.engine.preparation import Preparation, Prepared
from edgeassist.engine.scheduler import LEAST_SHARED, Scheduler, reusable
from edgeassist.engine.sequence import Outcome, Sequence
from edgeassist.engine.signals import KvFullError, StepAbortedError
from edgeassist.engine.speculation import Speculation
from edgeassist.engine.step import Plan, Yield
from edgeassist.errors import Code, EdgeAssistError

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0
# After a start, or a step: prompts that waited for the start have come by then.
REST_S = 0.5


def scheduler_for(options: Load, facts: ModelFacts) -> Scheduler:
    """Return the scheduler for a model that was loaded with these options."""
    return Scheduler(
        slots=facts.slots,
        context=facts.context,
        # llama.cpp ends the process if a step has more tokens than the KV cache.
        pacer=Pacer(target_s=options.step_ms / 1000, most=min(options.step_tokens, facts.kv_tokens)),
        speculation=Speculation() if options.speculate and facts.guesses else None,
        reach=facts.reach,
        branches=facts.branches,
    )


class Worker:
    """Serves requests with a loaded model, in the thread that calls `run`.

    Args:
        model: What serves.
        scheduler: Of the model's slots.
        prefixes: Where the states of ended sequences are kept.
        commands: Where the reader puts what the daemon sends, and the encoder what it has encoded.
        emit: Sends events, in one write for each call. Any thread.
        keeper: Keeps states on disk; None: none is kept there.
        foresight: Of what is needed; None: everything is.
    """

    def __init__(
        self,
        model: LoadedModel,
        scheduler: Scheduler,
        prefixes: Prefixes,
        *,
        commands: SimpleQueue[Command | Prompt],
        emit: Callable[[Iterable[Event]], None],
        keeper: Keeper | None = None,
        foresight: Foresight | None = None,
    ) -> None:
        self._backend = model.backend
        self._codec = model.codec
        self._compiler = model.compiler
        self._scheduler = scheduler
        self._prefixes = prefixes
        self._keeper = keeper
        self._foresight = foresight or Foresight(None)
        self._stopping = Stopping(prefixes, model.ends)
        self._commands = commands
        self._emit = emit
        self._encoder = Encoder(Preparation(model).prepare, emit=emit, deliver=commands.put)
        self._answers: dict[str, Answer] = {}
        self._decisions = Decisions(
            model.backend,
            scheduler,
            branches=model.facts.branches,
            reuse=self._reuse,
            stopping=self._stopping,
            keep=self._keep,
        )
        self._alone: str | None = None
        self._steps = 0
        self._last_beat = 0.0
        self._last_step = time.monotonic()

    def run(self) -> None:
        """Serve until a `Stop` command."""
        while self._take_commands():
            if self._busy:
                self._step()
            else:
                self._rest(time.monotonic() - self._last_step)
            self._beat()
        if self._keeper is not None:
            self._keeper.flush()

    def _rest(self, idle_s: float) -> None:
        """Do what need not be done while somebody waits."""
        if idle_s >= REST_S and self._compiler is not None:
            self._foresight.rest(self._compiler)
        if self._keeper is not None:
            self._keeper.rest(idle_s)

    @property
    def _busy(self) -> bool:
        return bool(self._answers or len(self._decisions))

    def interrupt(self, command: Command) -> None:
        """Cut the running step short if a command that was just queued makes it pointless. Any thread.

        An abort ends the step for every sequence in it, so a cancel of one among several waits for its end.
        """
        match command:
            case Stop():
                self._backend.abort()
            case Cancel(id=request) if self._alone == request:
                self._backend.abort()
            case _:
                pass

    # --- a step --------------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._decisions.admit()
        for sequence in self._scheduler.beginning:
            self._reuse(sequence)
        plan = self._scheduler.plan()
        begun = time.monotonic()
        yielded = self._run(plan)
        if yielded is not None:
            self._commit(plan, yielded, begun)

    def _run(self, plan: Plan) -> Yield | None:
        """Return what a plan yields; None if it was not computed, which is dealt with then."""
        requests = [*self._answers, *self._decisions]
        self._alone = requests[0] if len(requests) == 1 else None
        try:
            return self._backend.step(plan)
        except StepAbortedError as aborted:
            self._scheduler.lose(aborted.lost)
        except KvFullError as error:
            if not self._scheduler.preempt(plan):
                self._fail_all(error)
        except EdgeAssistError as error:
            self._fail_all(error)
        finally:
            self._alone = None
        return None

    def _commit(self, plan: Plan, yielded: Yield, begun: float) -> None:
        """Tell scheduler and daemon what a plan yielded, and release the sequences that ended."""
        self._steps += 1
        now = self._last_step = time.monotonic()
        events: list[Event] = []
        following, lost = follow(self._answers.values(), yielded.sampled)
        failed = {answer.sequence.id for answer in lost}
        outcomes = self._scheduler.commit(plan, yielded, now - begun, following)
        self._keep_at_stops(outcomes)
        ended = [
            answer
            for outcome in outcomes
            if not outcome.sequence.reads
            and outcome.sequence.id not in failed
            and (answer := self._report(outcome, now, events)) is not None
        ]
        events += self._decisions.take((each for each in outcomes if each.sequence.reads), now)
        self._emit(events)
        for answer in ended:
            self._release(answer)
        for answer in lost:
            self._give_up(answer)

    def _give_up(self, answer: Answer) -> None:
        """Fail an answer whose bounds are too much for llguidance."""
        problem = answer.bound.problem if answer.bound is not None else None
        self._drop(answer)
        message = f"what bounds the answer can't be followed any further: {problem}"
        failed = Failed(answer.sequence.id, Code.INVALID_REQUEST, message)
        self._emit([*answer.send(time.monotonic()), failed])

    def _report(self, outcome: Outcome, now: float, events: list[Event]) -> Answer | None:
        """Add the events of an outcome; return the answer if it ended."""
        sequence = outcome.sequence
        answer = self._answers[sequence.id]
        if answer.first_token is None:
            events.append(Prefilled(sequence.id, sequence.prefilled, sequence.cached, sequence.prompt_tokens))
        if not outcome.tokens:
            return None
        ended = answer.take(outcome, now)
        if ended or answer.due(now):
            events += answer.send(now)
        if not ended:
            return None
        # Templates leave the thoughts of earlier turns out, so nothing that follows them is computed as here.
        if not answer.parser.stopped and answer.parser.verbatim:
            self._codec.remember(answer.prompt, answer.text, sequence.tokens)
        events.append(answer.finished(outcome.ending, now, self._backend.computed_s))
        return answer

    # --- commands ------------------------------------------------------------------------------------------

    def _take_commands(self) -> bool:
        """Carry out what the daemon sent; wait only while nothing runs. False after a `Stop`."""
        wait = not self._busy
        # Commands queued from here on may abort again; those queued before are taken now.
        self._backend.proceed()
        while True:
            try:
                command = self._commands.get(block=wait, timeout=HEARTBEAT_S)
            except Empty:
                return True
            wait = False
            match command:
                case Start() | Decide():
                    if (prompt := self._encoder.submit(command, time.monotonic())) is not None:
                        self._start(prompt)
                case Prompt(request=request):
                    if self._encoder.withdraw(request.id):
                        self._start(command)
                case Cancel(id=id_):
                    self._cancel(id_)
                case Threads(decode=decode, prefill=prefill):
                    self._backend.use_threads(decode, prefill)
                case Stop():
                    return False
                case _:
                    log.error("the engine does not expect %s now", type(command).__name__)

    def _start(self, prompt: Prompt) -> None:
        match prompt.prepared:
            case EdgeAssistError() as error:
                self._emit([Failed(prompt.request.id, error.code, error.message)])
            case Inquiry() as inquiry:
                self._decisions.start(prompt.request.id, inquiry, prompt.started)
            case Prepared() as prepared if isinstance(prompt.request, Start):
                self._answer(prompt.request, prepared, prompt.started)

    def _answer(self, request: Start, prepared: Prepared, started: float) -> None:
        encoded, bound = prepared.prompt, prepared.bound
        try:
            sequence = self._scheduler.admit(
                request.id,
                encoded.tokens,
                request.max_tokens,
                world=encoded.world,
                reproducible=request.sampling.seed is not None,
                stops=self._stopping.stops(
                    encoded.tokens,
                    encoded.world,
                    len(encoded.tokens) + request.max_tokens,
                    returns=bool(self._codec.cut),
                ),
            )
        except EdgeAssistError as error:
            self._emit([Failed(request.id, error.code, error.message)])
            return
        try:
            self._backend.open(sequence.slot, request.sampling, encoded.world, bound)
        except EdgeAssistError as error:
            self._scheduler.remove(sequence)
            self._emit([Failed(request.id, error.code, error.message)])
            return
        if bound is not None:
            self._scheduler.begin_with(sequence, opening(bound, sequence.limit))
        self._answers[request.id] = Answer(
            sequence,
            encoded,
            prepared.dropped,
            prepared.parser,
            bound,
            gather_s=request.gather_ms / 1000,
            started=started,
            computed_s=self._backend.computed_s,
            budget=budget_of(request.thinking, sequence.limit)
            if self._codec.cut and prepared.may_think
            else None,
            cut=self._codec.cut,
        )

    def _reuse(self, sequence: Sequence) -> None:
        """Begin with a state that is kept, unless a running sequence will have as much to share."""
        wanted, shareable = reusable(sequence), self._scheduler.shareable(sequence)
        prefix, length = self._prefixes.best(wanted, sequence.world)
        if self._keeper is not None and self._keeper.bring(wanted, sequence.world, max(length, shareable)):
            prefix, length = self._prefixes.best(wanted, sequence.world)
        if prefix is None or length < shareable + LEAST_SHARED:
            return
        taken = self._backend.restore(sequence.slot, prefix.state, length)
        if taken:
            self._scheduler.begin_at(sequence, taken)
            self._prefixes.touch(prefix)
            if self._keeper is not None:
                self._keeper.used(prefix)
        else:
            log.info("a prefix of %d tokens could not be restored: it is computed again", length)

    def _cancel(self, request: str) -> None:
        answer = self._answers.get(request)
        if answer is not None:
            self._emit([Cancelled(request)])
            self._release(answer)
        elif self._decisions.drop(request) or self._encoder.withdraw(request):
            self._emit([Cancelled(request)])

    def _release(self, answer: Answer) -> None:
        """Free the slot; its state is kept for prompts that begin alike."""
        sequence = answer.sequence
        # A state that can't be cut is of no use where the next turn leaves out what was thought.
        if not (sequence.generated and self._prefixes.least(sequence.computed)) or answer.parser.verbatim:
            self._keep(sequence)
        self._drop(answer)

    def _keep_at_stops(self, outcomes: Iterable[Outcome]) -> None:
        for sequence in (each.sequence for each in outcomes):
            if (kind := sequence.stops.get(sequence.computed)) is not None:
                self._keep(sequence, kind)

    def _keep(self, sequence: Sequence, kind: Kind = Kind.END) -> None:
        computed = sequence.tokens[: sequence.computed]
        if len(computed) >= LEAST_SHARED and self._prefixes.wants(computed, sequence.world):
            state = self._backend.snapshot(sequence.slot)
            goes_on = 2 * sequence.cached >= sequence.prompt_tokens
            self._prefixes.keep(Prefix(computed, sequence.world, state, kind, goes_on))

    def _drop(self, answer: Answer) -> None:
        self._backend.close(answer.sequence.slot)
        self._scheduler.remove(answer.sequence)
        del self._answers[answer.sequence.id]

    def _fail_all(self, error: EdgeAssistError) -> None:
        log.error("a step failed: %s", error.message)
        answers = list(self._answers.values())
        events: list[Event] = []
        now = time.monotonic()
        for answer in answers:
            self._drop(answer)
            events += answer.send(now)
            events.append(Failed(answer.sequence.id, Code.INTERNAL, error.message))
        for request in self._decisions:
            self._decisions.drop(request)
            events.append(Failed(request, Code.INTERNAL, error.message))
        self._emit(events)

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._last_beat >= HEARTBEAT_S:
            self._last_beat = now
            self._emit([Heartbeat(self._steps, len(self._answers) + len(self._decisions))])
