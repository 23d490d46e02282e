"""One step as data: what the scheduler plans and what a backend returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Token:
    """A sampled token: its id, its bytes (maybe only part of a character), whether it ends the turn."""

    id: int
    piece: bytes
    ends: bool


# Slot to what a step sampled for it: one token, and one more for each drafted token that held.
Sampled = Mapping[int, Sequence[Token]]


@dataclass(frozen=True, slots=True)
class Read:
    """Tokens to compare as the next one, without one being sampled.

    Attributes:
        position: Of the token that they would follow.
        candidates: Their ids.
    """

    position: int
    candidates: tuple[int, ...]


# Slot to the logits of the candidates of each of its reads, in order.
Compared = Mapping[int, Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Yield:
    """What a step yielded."""

    sampled: Sampled
    compared: Compared = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Share:
    """Let `target` have the first `length` KV entries of `source` as well."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class Trim:
    """Drop all KV entries of a slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class Work:
    """What one slot does in a step.

    Attributes:
        slot: Whose KV entries are extended.
        position: Of the first token.
        tokens: Token ids to compute.
        samples: Whether the last of them yields a new token.
        drafted: How many of the last tokens are a draft: each is right if sampling after the token before
            it yields it.
        reads: What is compared after some of them, in the order of their positions. Not where it samples.
    """

    slot: int
    position: int
    tokens: Sequence[int]
    samples: bool
    drafted: int = 0
    reads: tuple[Read, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: changes to the KV cache first, in order, then what is computed, decode before prefill."""

    work: tuple[Work, ...]
    memory: tuple[Share | Trim, ...] = ()

    @property
    def tokens(self) -> int:
        """How many tokens the step computes."""
        return sum(len(work.tokens) for work in self.work)
