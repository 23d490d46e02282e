"""One decision while it runs: which of its prompts are still to be read, and what was compared."""

from __future__ import annotations

from collections import abc, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgeassist.engine.deciding.branches import Asked, Branch, Inquiry
from edgeassist.engine.deciding.priors import Priors
from edgeassist.engine.deciding.tree import branches_of, scores_of
from edgeassist.engine.messages import Decided
from edgeassist.engine.sequence import Outcome, Sequence


@dataclass(slots=True)
class _Scoring:
    """One question about one state, and the logits that were compared so far, by fork."""

    asked: Asked
    logits: dict[int, abc.Sequence[float]] = field(default_factory=dict)

    @property
    def scores(self) -> list[float]:
        """The log-probabilities of its options, once all is compared."""
        compared = [self.logits[number] for number in range(len(self.asked.forks))]
        return scores_of(self.asked.options, self.asked.forks, compared)


class Decision:
    """One decision.

    Args:
        id_: The request's.
        inquiry: What has to be read.
        priors: What is known of its options without a state; told of what it finds.
        together: Whether several prompts are read at once, or each takes the place of the one before.
        started: When it came, in seconds of the monotonic clock.
        computed_s: The backend's `computed_s` then.

    Attributes:
        held: The sequences that were admitted for it and not released.
    """

    def __init__(
        self,
        id_: str,
        inquiry: Inquiry,
        priors: Priors,
        *,
        together: bool,
        started: float,
        computed_s: float,
    ) -> None:
        self.id = id_
        self.held: dict[str, Sequence] = {}
        self._inquiry = inquiry
        self._priors = priors
        self._started = started
        self._computed_s = computed_s
        self._asked = [_Scoring(asked) for asked in inquiry.asked]
        # Several choices may be between the same options.
        neutral = dict.fromkeys(asked for asked in inquiry.neutral if asked is not None)
        self._known = {asked: known for asked in neutral if (known := priors.find(asked)) is not None}
        unknown = [asked for asked in neutral if asked not in self._known]
        self._neutral = [_Scoring(asked) for asked in unknown]
        # The state first, so that all that is short is read in the step behind it. Where prompts take turns,
        # the state comes last, and is left for the next decision.
        order = (*self._asked, *self._neutral) if together else (*self._neutral, *self._asked)
        self._waiting = deque(
            # Made a prompt when it is read: hundreds of them, each of a whole context, are not small.
            (scoring, numbers)
            for scoring in order
            for numbers in branches_of(scoring.asked.forks)
        )
        self._reading: dict[str, tuple[_Scoring, Branch]] = {}
        self._cached = 0
        self._first: str | None = None

    @property
    def waits(self) -> bool:
        """Whether some of its prompts have no slot yet."""
        return bool(self._waiting)

    @property
    def reads(self) -> bool:
        """Whether some of its prompts are being read."""
        return bool(self._reading)

    def next_branch(self) -> tuple[str, Branch]:
        """Return the next prompt to read, and a name for it that no request has."""
        scoring, numbers = self._waiting.popleft()
        branch = scoring.asked.branch(numbers)
        name = f"{self.id} {len(self._waiting)}"
        self._reading[name] = scoring, branch
        return name, branch

    @property
    def following(self) -> abc.Sequence[int]:
        """The tokens of the prompt that comes next; none after the last."""
        if not self._waiting:
            return ()
        scoring, numbers = self._waiting[0]
        return scoring.asked.branch(numbers).tokens

    def began(self, sequence: Sequence) -> None:
        """Note that a prompt has its slot."""
        self.held[sequence.id] = sequence
        scoring, _ = self._reading[sequence.id]
        if self._first is None and scoring is self._asked[0]:
            self._first = sequence.id
            self._cached = sequence.cached

    def is_first(self, sequence: Sequence) -> bool:
        """Whether it is the one that others share the state with."""
        return sequence.id == self._first

    def take(self, outcome: Outcome) -> None:
        """Take what a step compared."""
        name = outcome.sequence.id
        scoring, branch = self._reading[name]
        end = outcome.sequence.compared
        numbers = branch.forks[end - len(outcome.compared) : end]
        scoring.logits.update(zip(numbers, outcome.compared, strict=True))
        if outcome.ending is not None:
            del self._reading[name]

    def _corrected(self) -> Iterator[list[float]]:
        """Yield each question's scores, less what would be answered to it in any case."""
        for scoring, neutral in zip(self._asked, self._inquiry.neutral, strict=True):
            if neutral is None:
                yield scoring.scores
            else:
                biases = zip(scoring.scores, self._known[neutral], strict=True)
                yield [score - self._inquiry.prior * bias for score, bias in biases]

    def decided(self, now: float, computed_s: float) -> Decided:
        """Return its end, once nothing is left to read.

        Args:
            now: When.
            computed_s: The backend's `computed_s` now.
        """
        for scoring in self._neutral:
            self._known[scoring.asked] = scoring.scores
            self._priors.keep(scoring.asked, scoring.scores)
        return Decided(
            self.id,
            tuple(map(tuple, self._corrected())),
            prompt_tokens=self._inquiry.prompt_tokens,
            cached_tokens=self._cached,
            prefill_ms=(now - self._started) * 1000,
            overhead_ms=(now - self._started - (computed_s - self._computed_s)) * 1000,
        )
