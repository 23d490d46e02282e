"""What the next step holds: admit, plan, commit. Pure: no I/O, no clock, no third-party import.

A step is one forward pass over a plan. Decode goes first: every running sequence gets its token in every
step, and prefill fills what is left of the step's budget, oldest sequence first, so that a long prompt
never stalls a running stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from edgeassist.errors import ContextOverflowError, InternalError


class Ending(Enum):
    """How a sequence ended by itself."""

    END_OF_TURN = auto()
    LIMIT = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A sampled token: its id, its bytes (maybe only part of a character), whether it ends the turn."""

    id: int
    piece: bytes
    ends: bool


@dataclass(frozen=True, slots=True)
class Work:
    """What one slot does in a step: these tokens, from that position on; the last may yield a new token."""

    slot: int
    position: int
    tokens: Sequence[int]
    samples: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """One step. Decode stands before prefill."""

    work: tuple[Work, ...]

    @property
    def tokens(self) -> int:
        """How many tokens the step computes."""
        return sum(len(work.tokens) for work in self.work)


@dataclass(slots=True)
class Running:
    """A sequence in its slot.

    Attributes:
        prompt: Token ids.
        limit: The most tokens that it may generate.
        prefilled: How many tokens of the prompt are in KV memory.
        generated: Tokens sampled so far, the one that ends the turn not counted.
        pending: The last sampled token, whose KV entry the next step makes.
    """

    id: str
    slot: int
    prompt: Sequence[int]
    limit: int
    prefilled: int = 0
    generated: int = 0
    pending: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did for one sequence: a prompt's progress (no token), or a token, and maybe the end."""

    sequence: Running
    token: Token | None = None
    ending: Ending | None = None


class Scheduler:
    """Keeps the slots and decides what each step computes.

    Args:
        slots: Sequences at once.
        context: Tokens that one slot holds.
        step_tokens: The most tokens of one step; at least `slots`, so that every stream moves in every step.
    """

    def __init__(self, *, slots: int, context: int, step_tokens: int) -> None:
        self._free = list(range(slots - 1, -1, -1))
        self._running: dict[str, Running] = {}
        self._context = context
        self._step_tokens = max(step_tokens, slots)

    @property
    def running(self) -> int:
        """How many sequences hold a slot."""
        return len(self._running)

    def admit(self, request: str, prompt: Sequence[int], max_tokens: int) -> Running:
        """Give the prompt a slot.

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
            prompt=prompt,
            limit=min(max_tokens, self._context - len(prompt)),
        )
        self._running[request] = sequence
        return sequence

    def find(self, request: str) -> Running | None:
        """Return the sequence of that request, if it holds a slot."""
        return self._running.get(request)

    def all(self) -> list[Running]:
        """Return the sequences that hold a slot, oldest first."""
        return list(self._running.values())

    def remove(self, sequence: Running) -> None:
        """Free the sequence's slot."""
        del self._running[sequence.id]
        self._free.append(sequence.slot)

    def plan(self) -> Plan:
        """Return the next step: a token for each stream, and prefill within what is left of the budget."""
        work = [
            Work(seq.slot, len(seq.prompt) + seq.generated - 1, tuple(seq.pending), samples=True)
            for seq in self._running.values()
            if seq.pending
        ]
        budget = self._step_tokens - len(work)
        for seq in self._running.values():
            rest = len(seq.prompt) - seq.prefilled
            if not rest or budget <= 0:
                continue
            count = min(rest, budget)
            tokens = seq.prompt[seq.prefilled : seq.prefilled + count]
            work.append(Work(seq.slot, seq.prefilled, tokens, samples=count == rest))
            budget -= count
        return Plan(tuple(work))

    def commit(self, plan: Plan, sampled: Mapping[int, Token]) -> list[Outcome]:
        """Take what the step yielded, and say what it did for each sequence.

        A sequence that ended keeps its slot until `remove`.

        Args:
            plan: What `plan` returned.
            sampled: Slot to token, for every work that samples.
        """
        by_slot = {seq.slot: seq for seq in self._running.values()}
        return [self._advance(by_slot[work.slot], work, sampled) for work in plan.work]

    def _advance(self, seq: Running, work: Work, sampled: Mapping[int, Token]) -> Outcome:
        if seq.prefilled < len(seq.prompt):
            seq.prefilled += len(work.tokens)
        if not work.samples:
            return Outcome(seq)
        token = sampled[seq.slot]
        if token.ends:
            seq.pending = []
            return Outcome(seq, token, Ending.END_OF_TURN)
        seq.generated += 1
        ended = seq.generated >= seq.limit
        seq.pending = [] if ended else [token.id]
        return Outcome(seq, token, Ending.LIMIT if ended else None)
