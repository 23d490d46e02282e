"""What the next step holds: admit, plan, commit. Pure: no I/O, no clock, no third-party import.

A step is one forward pass over a plan. Decode goes first: every sequence that streams gets its token in
every step, and prefill fills what is left of the step's budget, so that a long prompt never stalls a running
stream. A prompt that begins like one that runs shares what is in KV memory already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from edgeassist.engine.kv.prefixes import shared_length
from edgeassist.engine.lookup import Bet, Lookup
from edgeassist.engine.pacing import Pacer
from edgeassist.errors import ContextOverflowError, InternalError

# Sharing less is not worth waiting for, nor keeping.
LEAST_SHARED = 16


class Ending(Enum):
    """How a sequence ended by itself."""

    END_OF_TURN = auto()
    LIMIT = auto()


class State(Enum):
    """Where a sequence stands."""

    NEW = auto()
    """Nobody has looked yet what of it is in KV memory."""
    GOING = auto()
    """Every step computes some of it."""
    PAUSED = auto()
    """It gave its KV memory to others, and begins again when one of them has ended."""


@dataclass(frozen=True, slots=True)
class Token:
    """A sampled token: its id, its bytes (maybe only part of a character), whether it ends the turn."""

    id: int
    piece: bytes
    ends: bool


@dataclass(frozen=True, slots=True)
class Share:
    """Let `target` have the first `length` KV entries of `source` as well."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class Trim:
    """Forget a slot's KV entries."""

    slot: int


@dataclass(frozen=True, slots=True)
class Work:
    """What one slot does in a step.

    Attributes:
        slot: Whose KV memory.
        position: Of the first token.
        tokens: To compute.
        samples: Whether the last of them yields a new token.
        guessed: How many of the last tokens are guesses: each is right if the token before it yields it.
    """

    slot: int
    position: int
    tokens: Sequence[int]
    samples: bool
    guessed: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: what happens to KV memory first, in that order, and then what is computed, decode first."""

    work: tuple[Work, ...]
    memory: tuple[Share | Trim, ...] = ()

    @property
    def tokens(self) -> int:
        """How many tokens the step computes."""
        return sum(len(work.tokens) for work in self.work)


@dataclass(slots=True)
class Running:
    """A sequence in its slot.

    Attributes:
        tokens: Ids: the prompt, then what was sampled, the token that ends the turn not included.
        prompt_tokens: How many of them are the prompt.
        limit: The most tokens that it may generate.
        shares: Whether it may take over what others have computed.
        computed: How many tokens are in KV memory.
        cached: How many tokens of the prompt were there already when it began.
        state: Where it stands.
        guess: What may come next, whether the step tries it or not.
    """

    id: str
    slot: int
    tokens: list[int]
    prompt_tokens: int
    limit: int
    shares: bool = True
    computed: int = 0
    cached: int = 0
    state: State = State.NEW
    lookup: Lookup = field(default_factory=Lookup)
    guess: list[int] = field(default_factory=list)

    @property
    def generated(self) -> int:
        """How many tokens were sampled, the one that ends the turn not counted."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def prefilled(self) -> int:
        """How many tokens of the prompt are in KV memory."""
        return min(self.computed, self.prompt_tokens)

    @property
    def rest(self) -> int:
        """How many tokens are still to compute before the next one can be sampled."""
        return len(self.tokens) - self.computed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did for one sequence: a prompt's progress (no tokens), or tokens, and maybe the end."""

    sequence: Running
    tokens: tuple[Token, ...] = ()
    ending: Ending | None = None


class Scheduler:
    """Keeps the slots and decides what each step computes.

    Args:
        slots: Sequences that run at once.
        context: Tokens that one sequence may have.
        pacer: Says how much a step may prefill.
        bet: Says how many tokens a sequence that runs alone may guess; None: none ever.
        rewinds: Whether KV memory can be cut at any token; without, nothing is shared.
    """

    def __init__(
        self, *, slots: int, context: int, pacer: Pacer, bet: Bet | None = None, rewinds: bool = True
    ) -> None:
        self._context = context
        self._rewinds = rewinds
        self._pacer = pacer
        self._bet = bet
        self._free = list(range(slots - 1, -1, -1))
        self._running: dict[str, Running] = {}
        self._memory: list[Share | Trim] = []
        self._squeeze = 0

    @property
    def running(self) -> int:
        """How many sequences run."""
        return len(self._running)

    def admit(self, request: str, prompt: Sequence[int], max_tokens: int, *, shares: bool = True) -> Running:
        """Give the prompt a slot.

        Args:
            request: An id.
            prompt: Token ids.
            max_tokens: The most tokens to generate.
            shares: Whether it may take over what others compute. The same numbers added up in another order
                are not quite the same sum, so one that must come out as the last time computes its own.

        Raises:
            ContextOverflowError: The prompt leaves no room for even one token of an answer.
            InternalError: No slot is free, the id runs already or the prompt is empty: the caller's defect.
        """
        if len(prompt) >= self._context:
            raise ContextOverflowError(
                f"the prompt has {len(prompt)} tokens and the context holds {self._context}, "
                "answer included: shorten the prompt, or raise model.context",
            )
        if not self._free or request in self._running or not prompt:
            raise InternalError(
                f"request {request!r} can't be admitted: no free slot, a known id or no tokens"
            )
        sequence = Running(
            id=request,
            slot=self._free.pop(),
            tokens=list(prompt),
            prompt_tokens=len(prompt),
            limit=min(max_tokens, self._context - len(prompt)),
            shares=shares and self._rewinds,
        )
        self._begin(sequence)
        self._running[request] = sequence
        return sequence

    def shares(self, prompt: Sequence[int], *, but: Running) -> int:
        """Return how many tokens a prompt will share with one that runs; `but` is the prompt's own."""
        others = (each for each in self._running.values() if each is not but)
        return max((shared_length(prompt, each.tokens) for each in others), default=0)

    def begin_at(self, sequence: Running, computed: int) -> None:
        """Note that a sequence's slot holds so many tokens of its prompt already."""
        sequence.state = State.GOING
        sequence.computed = sequence.cached = computed

    def remove(self, sequence: Running) -> None:
        """End a sequence and free its slot, whose KV memory the caller has cleared."""
        del self._running[sequence.id]
        self._free.append(sequence.slot)
        self._resume()

    # --- plan ----------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Return the next step: a token for each stream, and prefill within what is left of the budget."""
        active = self._active
        ready = [seq for seq in active if seq.state is State.GOING or self._look_up(seq, active)]
        streams = [seq for seq in ready if seq.rest == 1]
        work = [self._decode(seq, alone=len(self._running) == 1) for seq in streams]
        budget = max(1, self._pacer.budget(len(streams)) >> self._squeeze)
        work += _prefill([seq for seq in ready if seq.rest > 1], budget)
        memory, self._memory = tuple(self._memory), []
        return Plan(tuple(work), memory)

    def _look_up(self, seq: Running, active: Sequence[Running]) -> bool:
        """Share what others have of the prompt; False while an older one still computes more of it."""
        # The last token is computed in any case: it yields the first of the answer.
        wanted = seq.tokens[:-1]
        source, length = None, 0
        for other in active:
            if other is seq:
                break
            shared = shared_length(wanted, other.tokens)
            if shared > max(length, other.computed) + LEAST_SHARED:
                return False
            if min(shared, other.computed) > length:
                source, length = other.slot, min(shared, other.computed)
        seq.state = State.GOING
        if source is not None:
            self._memory.append(Share(source, seq.slot, length))
            seq.computed = length
            if not seq.generated:
                seq.cached = length
        return True

    def _decode(self, seq: Running, *, alone: bool) -> Work:
        seq.guess = []
        length = 0
        if self._bet is not None and alone and seq.generated and not self._squeeze:
            room = seq.limit - seq.generated - 1
            seq.guess = seq.lookup.guess(seq.tokens, min(room, self._bet.most))
            length = min(self._bet.length(), len(seq.guess))
        tokens = (*seq.tokens[seq.computed :], *seq.guess[:length])
        return Work(seq.slot, seq.computed, tokens, samples=True, guessed=length)

    # --- commit --------------------------------------------------------------------------------------------

    def commit(self, plan: Plan, sampled: Mapping[int, Sequence[Token]], seconds: float) -> list[Outcome]:
        """Take what the step yielded, and say what it did for each sequence.

        A sequence that ended keeps its slot until `remove`.

        Args:
            plan: What `plan` returned.
            sampled: Slot to tokens, for every work that samples: one, and one more for each guess that held.
            seconds: How long the step took.
        """
        self._squeeze = 0
        self._learn(plan, seconds)
        by_slot = {seq.slot: seq for seq in self._running.values()}
        return [self._advance(by_slot[work.slot], work, sampled) for work in plan.work]

    def make_room(self, plan: Plan) -> bool:
        """Answer to a plan that found no KV memory: the next one needs less. False where none can.

        First the step gets smaller, then the youngest sequence waits.
        """
        if plan.tokens > len(plan.work):
            self._squeeze += 1
            return True
        *others, youngest = self._active
        if not others:
            return False
        youngest.state = State.PAUSED
        youngest.computed = 0
        self._memory.append(Trim(youngest.slot))
        return True

    def _learn(self, plan: Plan, seconds: float) -> None:
        prefilled = sum(len(work.tokens) - work.guessed for work in plan.work if len(work.tokens) > 1)
        streams = sum(len(work.tokens) == 1 for work in plan.work)
        guessed = sum(work.guessed for work in plan.work)
        if not guessed:
            self._pacer.learn(prefilled=prefilled, streams=streams, seconds=seconds)
        if self._bet is not None and plan.tokens == 1 + guessed:
            self._bet.timed(guessed, seconds)

    def _advance(self, seq: Running, work: Work, sampled: Mapping[int, Sequence[Token]]) -> Outcome:
        tokens = tuple(sampled[seq.slot]) if work.samples else ()
        held = max(0, len(tokens) - 1)
        seq.computed = work.position + len(work.tokens) - work.guessed + held
        if not tokens:
            return Outcome(seq)
        if self._bet is not None and seq.guess:
            self._bet.learn(seq.guess, [token.id for token in tokens])
        ends = tokens[-1].ends
        seq.tokens += [token.id for token in tokens if not token.ends]
        if ends:
            return Outcome(seq, tokens, Ending.END_OF_TURN)
        return Outcome(seq, tokens, Ending.LIMIT if seq.generated >= seq.limit else None)

    @property
    def _active(self) -> list[Running]:
        return [seq for seq in self._running.values() if seq.state is not State.PAUSED]

    def _resume(self) -> None:
        """Let the oldest sequence that waits for KV memory have a try."""
        for seq in self._running.values():
            if seq.state is State.PAUSED:
                self._begin(seq)
                return

    @staticmethod
    def _begin(seq: Running) -> None:
        seq.state = State.NEW if seq.shares else State.GOING


def _prefill(sequences: Sequence[Running], budget: int) -> list[Work]:
    """Share the budget, the oldest first; but half of it is for those with at most half of the oldest's rest.

    So a short question passes a long document, which takes at most twice as long for it.
    """
    counts = dict.fromkeys((seq.slot for seq in sequences), 0)

    def give(seq: Running, most: int) -> int:
        count = min(seq.rest - counts[seq.slot], most)
        counts[seq.slot] += count
        return count

    passing = budget // 2
    for seq in sorted(sequences, key=lambda each: each.rest):
        if 2 * seq.rest <= sequences[0].rest:
            given = give(seq, passing)
            passing -= given
            budget -= given
    for seq in sequences:
        budget -= give(seq, budget)
    return [
        Work(
            seq.slot,
            seq.computed,
            seq.tokens[seq.computed : seq.computed + counts[seq.slot]],
            samples=counts[seq.slot] == seq.rest,
        )
        for seq in sequences
        if counts[seq.slot]
    ]
