"""The decisions that run: their prompts get slots, beside the answers, and logits become scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from edgeassist.engine.backends.base import Backend
from edgeassist.engine.deciding.branches import Inquiry
from edgeassist.engine.deciding.decision import Decision
from edgeassist.engine.deciding.priors import Priors
from edgeassist.engine.kv.stops import Stopping
from edgeassist.engine.messages import Decided, Sampling
from edgeassist.engine.scheduler import Scheduler
from edgeassist.engine.sequence import Outcome, Sequence

_UNSAMPLED = Sampling()


class Decisions:
    """The decisions of one worker.

    Args:
        backend: What computes.
        scheduler: Of the model's slots.
        branches: How many of a decision's prompts are read at once; 0: one, in the slot of an answer.
        reuse: Begins a new sequence with a state that is kept.
        stopping: Where the reading of a prompt stops for its state to be kept.
        keep: Keeps the state of an ended sequence for prompts that begin alike.
    """

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler,
        *,
        branches: int,
        reuse: Callable[[Sequence], None],
        stopping: Stopping,
        keep: Callable[[Sequence], None],
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._together = branches > 0
        self._reuse = reuse
        self._stopping = stopping
        self._keep = keep
        self._priors = Priors()
        self._running: dict[str, Decision] = {}

    def __len__(self) -> int:
        """How many run."""
        return len(self._running)

    def __iter__(self) -> Iterator[str]:
        """Yield their requests' ids."""
        return iter(tuple(self._running))

    def start(self, request: str, inquiry: Inquiry, started: float) -> None:
        """Begin a decision."""
        self._running[request] = Decision(
            request,
            inquiry,
            self._priors,
            together=self._together,
            started=started,
            computed_s=self._backend.computed_s,
        )

    def admit(self) -> None:
        """Give prompts slots, those of the oldest decision first, as far as there are any."""
        for decision in self._running.values():
            while decision.waits and (self._scheduler.free_branches if self._together else not decision.held):
                name, branch = decision.next_branch()
                sequence = self._scheduler.admit_branch(
                    name,
                    branch.tokens,
                    branch.reads,
                    world=branch.world,
                    stops=self._stopping.stops(
                        branch.tokens, branch.world, len(branch.tokens), following=decision.following
                    ),
                )
                self._backend.open(sequence.slot, _UNSAMPLED, branch.world)
                self._reuse(sequence)
                decision.began(sequence)

    def take(self, outcomes: Iterable[Outcome], now: float) -> list[Decided]:
        """Take what a step did for their prompts; return the decisions that ended with it."""
        touched: dict[str, Decision] = {}
        for outcome in outcomes:
            decision = next(each for each in self._running.values() if outcome.sequence.id in each.held)
            touched[decision.id] = decision
            decision.take(outcome)
            if outcome.ending is not None and not (self._together and decision.is_first(outcome.sequence)):
                self._release(decision, outcome.sequence)
        ended = []
        for decision in touched.values():
            if not decision.waits and not decision.reads:
                ended.append(decision.decided(now, self._backend.computed_s))
                self.drop(decision.id, keep=True)
        return ended

    def drop(self, request: str, *, keep: bool = False) -> bool:
        """End a decision; False where there is none.

        Args:
            request: Whose.
            keep: Whether the state that its questions share is kept.
        """
        decision = self._running.pop(request, None)
        if decision is None:
            return False
        for sequence in list(decision.held.values()):
            self._release(decision, sequence, keep=keep)
        return True

    def _release(self, decision: Decision, sequence: Sequence, *, keep: bool = True) -> None:
        if keep and (decision.is_first(sequence) or not self._together):
            self._keep(sequence)
        del decision.held[sequence.id]
        self._backend.close(sequence.slot)
        self._scheduler.remove(sequence)
