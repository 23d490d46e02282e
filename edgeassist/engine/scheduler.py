"""What the next step holds: admit, plan, commit. Sans-I/O: no clock, standard library only.

A step is one forward pass over a plan. Decode goes first: every sequence that streams gets its token in
every step, and prefill fills what is left of the step's budget, so that a long prompt never stalls a running
stream. A prompt that begins like one that runs shares its entries in the KV cache.
"""

from __future__ import annotations

from collections import abc
from itertools import takewhile

from edgeassist.engine.kv.prefixes import Kind, shared_length
from edgeassist.engine.kv.reach import Reach, least
from edgeassist.engine.kv.world import World
from edgeassist.engine.pacing import Pacer
from edgeassist.engine.prefill import prefill
from edgeassist.engine.sequence import Ending, Outcome, Sequence, State
from edgeassist.engine.speculation import Speculation
from edgeassist.engine.step import Plan, Read, Sampled, Share, Token, Trim, Work, Yield
from edgeassist.errors import ContextOverflowError, InternalError

# A shorter prefix is worth neither waiting for nor keeping.
LEAST_SHARED = 16


class Scheduler:
    """Keeps the slots and decides what each step computes.

    Args:
        slots: How many sequences run at once.
        context: Tokens that one sequence may have.
        pacer: Says how much a step may prefill.
        speculation: Says how many tokens a sequence that runs alone may draft; None: never any.
        reach: How far back the memory of a sequence can be cut, and so shared.
        branches: How many prompts without an answer are read beside; 0: one takes the slot of an answer.
    """

    def __init__(
        self,
        *,
        slots: int,
        context: int,
        pacer: Pacer,
        speculation: Speculation | None = None,
        reach: Reach = None,
        branches: int = 0,
    ) -> None:
        self._context = context
        self._reach = reach
        self._pacer = pacer
        self._speculation = speculation
        self._slots = slots
        self._free = list(range(slots - 1, -1, -1))
        self._branches = list(range(slots + branches - 1, slots - 1, -1)) if branches else self._free
        self._running: dict[str, Sequence] = {}
        self._memory: list[Share | Trim] = []
        self._squeeze = 0

    @property
    def running(self) -> int:
        """How many sequences run."""
        return len(self._running)

    @property
    def free_branches(self) -> int:
        """How many prompts without an answer may be admitted now."""
        return len(self._branches)

    def admit(
        self,
        request: str,
        prompt: abc.Sequence[int],
        max_tokens: int,
        *,
        world: World,
        reproducible: bool = False,
        stops: abc.Mapping[int, Kind] | None = None,
    ) -> Sequence:
        """Give the prompt a slot.

        Args:
            request: An id.
            prompt: Token ids.
            max_tokens: The most tokens to generate.
            world: What else decides the KV values of the prompt.
            reproducible: Whether the answer must be the same each time. Sums in another order differ in
                their last bits, so it reuses no KV entries, drafts nothing, and its prompt is cut at fixed
                places: the number of rows in a step decides which kernels compute them.
            stops: After how many tokens of the prompt a step has to end, and why.

        Raises:
            ContextOverflowError: The prompt leaves no room for even one token of an answer.
            InternalError: No slot is free, the id runs already or the prompt is empty: a bug of the caller.
        """
        if len(prompt) >= self._context:
            raise ContextOverflowError.of(len(prompt), self._context)
        sequence = Sequence(
            id=request,
            slot=self._take(self._free, request, prompt),
            tokens=list(prompt),
            world=world,
            prompt_tokens=len(prompt),
            limit=min(max_tokens, self._context - len(prompt)),
            shares=not reproducible,
            reproducible=reproducible,
            stops=dict(stops or {}),
        )
        self._begin(sequence)
        self._running[request] = sequence
        return sequence

    def admit_branch(
        self,
        name: str,
        prompt: abc.Sequence[int],
        reads: tuple[Read, ...],
        *,
        world: World,
        stops: abc.Mapping[int, Kind] | None = None,
    ) -> Sequence:
        """Give a prompt without an answer a slot; there is one (`free_branches`).

        Args:
            name: An id that no request has.
            prompt: Token ids.
            reads: What to compare, in the order of the positions; the last one is that of the last token.
            world: What else decides the KV values of the prompt.
            stops: After how many tokens of the prompt a step has to end, and why.

        Raises:
            ContextOverflowError: The prompt does not fit the context.
            InternalError: No slot is free, the id runs already or the prompt is empty: a bug of the caller.
        """
        if len(prompt) > self._context:
            raise ContextOverflowError.of(len(prompt), self._context)
        sequence = Sequence(
            id=name,
            slot=self._take(self._branches, name, prompt),
            tokens=list(prompt),
            world=world,
            prompt_tokens=len(prompt),
            limit=0,
            reads=reads,
            stops=dict(stops or {}),
        )
        self._begin(sequence)
        self._running[name] = sequence
        return sequence

    def _take(self, free: list[int], name: str, prompt: abc.Sequence[int]) -> int:
        if not free or name in self._running or not prompt:
            raise InternalError(f"request {name!r} can't be admitted: no free slot, a known id or no tokens")
        return free.pop()

    @property
    def beginning(self) -> list[Sequence]:
        """The sequences of which nothing is computed, which may begin with what is kept (`begin_at`)."""
        changed = {change.slot for change in self._memory if isinstance(change, Trim)}
        return [seq for seq in self._running.values() if seq.state is State.NEW and seq.slot not in changed]

    def shareable(self, sequence: Sequence) -> int:
        """Return how many tokens of a sequence that begins an older one can share, now or soon."""
        wanted = reusable(sequence)
        older = takewhile(lambda each: each is not sequence, self._active)
        return max((self._shared(wanted, sequence.world, each) for each in older), default=0)

    def _shared(self, wanted: list[int], world: World, other: Sequence) -> int:
        """Return how many tokens another sequence has in common, or will have when it stands there."""
        if other.world != world:
            return 0
        shared = shared_length(wanted, other.tokens)
        if shared > other.computed and other.reproducible and self._reach is not None:
            # It does not stop where they part.
            shared = other.computed
        return shared if shared >= least(other.computed, self._reach) else 0

    def begin_at(self, sequence: Sequence, computed: int) -> None:
        """Note that a sequence that begins has KV entries of that many of its tokens in its slot."""
        sequence.state = State.RUNNING
        self._have(sequence, computed)

    @staticmethod
    def _have(seq: Sequence, computed: int) -> None:
        seq.computed = computed
        if seq.generated == len(seq.untold):
            seq.cached = min(computed, seq.prompt_tokens)

    def lose(self, slots: abc.Collection[int]) -> None:
        """Let the sequences in these slots start over: the backend has lost what they computed."""
        for seq in self._running.values():
            if seq.slot in slots:
                seq.computed = 0
                self._begin(seq)

    def begin_with(self, sequence: Sequence, tokens: abc.Sequence[Token]) -> None:
        """Begin a new sequence's answer with tokens that need not be sampled: fewer than its limit."""
        sequence.tokens += [token.id for token in tokens]
        sequence.untold = tuple(tokens)

    def remove(self, sequence: Sequence) -> None:
        """End a sequence and free its slot, whose KV entries the caller has dropped."""
        del self._running[sequence.id]
        # The next sequence in this slot may begin with what is kept before the next plan.
        self._memory = [change for change in self._memory if change != Trim(sequence.slot)]
        (self._free if sequence.slot < self._slots else self._branches).append(sequence.slot)
        self._resume()

    # --- plan ----------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Return the next step: a token for each stream, then prefill within what is left of the budget."""
        active = self._active
        if all(seq.state is State.READ for seq in active):
            # Nobody is left whose end would let a preempted one start over.
            self._resume()
            active = self._active
        ready = [
            seq
            for seq in active
            if seq.state is State.RUNNING or (seq.state is State.NEW and self._look_up(seq, active))
        ]
        streams, prompts = self._divide(ready)
        work = [self._decode(seq, alone=len(self._running) == 1) for seq in streams]
        if prompts:
            more = sum(len(each.tokens) - 1 for each in work)
            # An answer is worth a longer step, so that it begins soon; a decision has no text to wait for.
            stretches = any(not seq.reads for seq in prompts)
            budget = self._pacer.budget(len(streams), stretches=stretches)
            budget = max(1, (budget >> self._squeeze) - more)
            work += prefill(prompts, budget, self._pacer.block)
        memory, self._memory = tuple(self._memory), []
        return Plan(tuple(work), memory)

    def _divide(self, ready: list[Sequence]) -> tuple[list[Sequence], list[Sequence]]:
        """Return the sequences whose next token the step samples in any case, and those that are read.

        What follows a sampled token goes with it, as far as the step has room, and else as a prompt does.
        """
        streams: list[Sequence] = []
        prompts: list[Sequence] = []
        room = self._pacer.most - len(ready)
        for seq in ready:
            more = seq.rest - 1
            if seq.reads or (more and (more > min(seq.following, room) or self._squeeze)):
                prompts.append(seq)
            else:
                room -= more
                streams.append(seq)
        return streams, prompts

    def _look_up(self, seq: Sequence, active: list[Sequence]) -> bool:
        """Share what older sequences have of the prompt; False while one of them will have more of it."""
        wanted = reusable(seq)
        source, length = None, 0
        for other in takewhile(lambda each: each is not seq, active):
            shared = self._shared(wanted, seq.world, other)
            if shared > max(length, other.computed) + LEAST_SHARED:
                if self._reach is not None:
                    other.stops.setdefault(shared, Kind.FORK)
                return False
            if min(shared, other.computed) > length:
                source, length = other.slot, min(shared, other.computed)
        seq.state = State.RUNNING
        if source is not None:
            self._memory.append(Share(source, seq.slot, length))
            self._have(seq, length)
        return True

    def _decode(self, seq: Sequence, *, alone: bool) -> Work:
        seq.draft = []
        length = 0
        if (
            self._speculation is not None
            and alone
            and not seq.reproducible
            and seq.generated
            and seq.rest == 1
            and not self._squeeze
        ):
            end = seq.limit if seq.draft_end is None else min(seq.limit, seq.draft_end)
            room = max(0, end - seq.generated - 1)
            seq.draft = seq.ngrams.draft(seq.tokens, min(room, self._speculation.most))
            length = min(self._speculation.length(), len(seq.draft))
        tokens = (*seq.tokens[seq.computed :], *seq.draft[:length])
        return Work(seq.slot, seq.computed, tokens, samples=True, drafted=length)

    # --- commit --------------------------------------------------------------------------------------------

    def commit(
        self, plan: Plan, yielded: Yield, seconds: float, following: Sampled | None = None
    ) -> list[Outcome]:
        """Take what the step yielded, and return what it did for each sequence.

        A sequence that ended keeps its slot until `remove`.

        Args:
            plan: What `plan` returned.
            yielded: What the step yielded.
            seconds: How long the step took.
            following: By slot, what comes behind the last of them without being sampled, as far as there is
                room. A token that ends the turn gives way to it; the last of it may end the turn.
        """
        self._squeeze = 0
        self._learn(plan, seconds)
        by_slot = {seq.slot: seq for seq in self._running.values()}
        return [self._advance(by_slot[work.slot], work, yielded, following or {}) for work in plan.work]

    def preempt(self, plan: Plan) -> bool:
        """Make the next plan need less of the KV cache than this one, which did not fit; False if none can.

        The step gets smaller first; at its smallest, the youngest sequence drops its entries and waits.
        """
        if plan.tokens > len(plan.work):
            self._squeeze += 1
            return True
        kept = [seq for seq in self._active if seq.state is State.READ and seq.computed]
        *others, youngest = (seq for seq in self._active if seq.state is not State.READ)
        if kept and not others:
            self._drop(kept)
        elif others:
            youngest.state = State.PREEMPTED
            youngest.computed = 0
            self._memory.append(Trim(youngest.slot))
        else:
            return False
        return True

    def _drop(self, kept: list[Sequence]) -> None:
        """Let entries go that are only kept for others; those that are shared already stay."""
        for seq in kept:
            seq.tokens.clear()
            seq.computed = 0
            self._memory.append(Trim(seq.slot))

    def _learn(self, plan: Plan, seconds: float) -> None:
        streams = prefilled = drafted = 0
        for work in plan.work:
            count = len(work.tokens)
            if count == 1:
                streams += 1
            else:
                drafted += work.drafted
                prefilled += count - work.drafted
        if not drafted:
            self._pacer.learn(prefilled=prefilled, streams=streams, seconds=seconds)
        if self._speculation is not None and streams + prefilled == 1:
            self._speculation.timed(drafted, seconds)

    def _advance(self, seq: Sequence, work: Work, yielded: Yield, following: Sampled) -> Outcome:
        if seq.reads:
            return self._read(seq, work, yielded)
        tokens = tuple(yielded.sampled[seq.slot]) if work.samples else ()
        held = max(0, len(tokens) - 1)
        seq.computed = work.position + len(work.tokens) - work.drafted + held
        if not tokens:
            return Outcome(seq)
        if self._speculation is not None and seq.draft:
            self._speculation.learn(seq.draft, [token.id for token in tokens])
        seq.following = 0
        if behind := following.get(seq.slot):
            tokens = self._follow(seq, tokens, behind)
        ends = tokens[-1].ends
        seq.tokens += [token.id for token in tokens if not token.ends]
        if seq.untold:
            tokens, seq.untold = (*seq.untold, *tokens), ()
        if ends:
            return Outcome(seq, tokens, Ending.END_OF_TURN)
        return Outcome(seq, tokens, Ending.LIMIT if seq.generated >= seq.limit else None)

    @staticmethod
    def _read(seq: Sequence, work: Work, yielded: Yield) -> Outcome:
        seq.computed = work.position + len(work.tokens)
        seq.compared += len(work.reads)
        ended = seq.rest == 0
        if ended:
            seq.state = State.READ
        compared = yielded.compared[seq.slot] if work.reads else ()
        return Outcome(seq, (), Ending.LIMIT if ended else None, compared)

    @staticmethod
    def _follow(seq: Sequence, tokens: tuple[Token, ...], behind: abc.Sequence[Token]) -> tuple[Token, ...]:
        """Return what was sampled with what follows it, as far as the sequence may go."""
        room = seq.limit - seq.generated
        if tokens[-1].ends:
            tokens = tokens[:-1]
        more = [*tokens, *behind]
        if sum(not token.ends for token in more) > room:
            del more[room:]
        seq.following = len(more) - len(tokens)
        return tuple(more)

    @property
    def _active(self) -> list[Sequence]:
        return [seq for seq in self._running.values() if seq.state is not State.PREEMPTED]

    def _resume(self) -> None:
        """Let the oldest preempted sequence start over."""
        for seq in self._running.values():
            if seq.state is State.PREEMPTED:
                self._begin(seq)
                return

    @staticmethod
    def _begin(seq: Sequence) -> None:
        seq.state = State.NEW if seq.shares else State.RUNNING


def reusable(seq: Sequence) -> list[int]:
    """Return what of it need not be computed: what yields something has to be."""
    return seq.tokens[: seq.reads[seq.compared].position if seq.reads else -1]
