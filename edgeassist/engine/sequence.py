"""A sequence in its slot, and what a step did for it."""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass, field
from enum import Enum, auto

from edgeassist.engine.kv.prefixes import Kind
from edgeassist.engine.kv.world import World
from edgeassist.engine.speculation import NgramIndex
from edgeassist.engine.step import Read, Token


class State(Enum):
    """Where a sequence stands."""

    NEW = auto()
    """Not yet checked for a shared prefix in the KV cache."""
    RUNNING = auto()
    """Every step computes some of it."""
    PREEMPTED = auto()
    """Its KV entries are dropped; it starts over when another sequence has ended, from what is kept of it."""
    READ = auto()
    """A prompt without an answer, whole in the KV cache: only kept for others that begin like it."""


class Ending(Enum):
    """How a sequence ended by itself."""

    END_OF_TURN = auto()
    LIMIT = auto()


@dataclass(slots=True)
class Sequence:
    """A prompt and its answer so far.

    Attributes:
        tokens: Ids: the prompt, then the answer, without the token that ends the turn.
        world: What else decides their KV values; only sequences of equal worlds share.
        prompt_tokens: How many of them are the prompt.
        limit: The most tokens that it may generate.
        shares: Whether it may reuse KV entries that other sequences computed.
        reproducible: Whether it is computed in the same pieces each time.
        computed: How many tokens have KV entries.
        cached: How many tokens of the prompt had KV entries when it began.
        state: Where it stands.
        ngrams: Where drafts of the next tokens come from.
        draft: What may come next, whether the step tries it or not.
        untold: Tokens that were appended without being sampled, and that no outcome has told of yet.
        following: How many tokens were appended behind the last one that was sampled.
        draft_end: How many tokens may be generated before others follow than those that are sampled; no
            draft reaches beyond. None: any number.
        reads: What is compared after some of its tokens, in order; such a prompt has no answer.
        compared: How many of them are.
        stops: After how many tokens a step has to end, so that the state there can be kept; and why.
    """

    id: str
    slot: int
    tokens: list[int]
    world: World
    prompt_tokens: int
    limit: int
    shares: bool = True
    reproducible: bool = False
    computed: int = 0
    cached: int = 0
    state: State = State.NEW
    ngrams: NgramIndex = field(default_factory=NgramIndex)
    draft: list[int] = field(default_factory=list)
    untold: tuple[Token, ...] = ()
    following: int = 0
    draft_end: int | None = None
    reads: tuple[Read, ...] = ()
    compared: int = 0
    stops: dict[int, Kind] = field(default_factory=dict)

    @property
    def generated(self) -> int:
        """How many tokens the answer has, without the one that ends the turn."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def prefilled(self) -> int:
        """How many tokens of the prompt have KV entries."""
        return min(self.computed, self.prompt_tokens)

    @property
    def rest(self) -> int:
        """How many tokens are still to compute before the next one can be sampled."""
        return len(self.tokens) - self.computed

    @property
    def until_stop(self) -> int:
        """How many tokens a step may compute at most."""
        ahead = [stop - self.computed for stop in self.stops if stop > self.computed]
        return min(ahead, default=self.rest)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did for one sequence: progress of its prompt (no tokens), or tokens and maybe the end.

    Attributes:
        compared: The logits of the candidates of the reads that it reached.
    """

    sequence: Sequence
    tokens: tuple[Token, ...] = ()
    ending: Ending | None = None
    compared: abc.Sequence[abc.Sequence[float]] = ()
