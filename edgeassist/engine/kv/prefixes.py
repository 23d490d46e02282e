"""States of sequences, for prompts that begin alike. Sans-I/O: opaque bytes, each whole by itself.

They are kept outside of the KV cache: in it, every step would pass over them, and a lone stream would pay
10 % of its speed for a thousand tokens of them (docs/performance.md). Copying one back takes milliseconds.

Where the memory can be cut anywhere, one state serves all prompts that begin like it. Where it can't
(`reach`), a state serves those that begin with all of it, so there are several of one sequence: checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from edgeassist.engine.kv.reach import Reach, least
from edgeassist.engine.kv.world import World

# A bound on their number, since each is compared with every new prompt.
MOST = 32


class Kind(Enum):
    """Why a state is kept, and so how long."""

    WAY = auto()
    """It is on the way through a long prompt. Dropped before others."""
    END = auto()
    """A sequence ended there: a session goes on from its last one."""
    FORK = auto()
    """Prompts part there: behind a system prompt, or behind what several questions are about."""
    PINNED = auto()
    """It is the configured system prompt's. Dropped last."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Prefix:
    """A state and what it belongs to.

    Attributes:
        tokens: Whose KV entries the state holds.
        world: What else decided their values.
        state: From `Backend.snapshot`.
        kind: Why it is kept.
        goes_on: Whether most of the prompt was known before: that conversation will go on again.
    """

    tokens: Sequence[int]
    world: World
    state: bytes | bytearray
    kind: Kind = Kind.END
    goes_on: bool = False

    def extends(self, other: Prefix) -> bool:
        """Whether it has all that the other has."""
        shared = shared_length(self.tokens, other.tokens) if self.world == other.world else -1
        return shared == len(other.tokens)


class Prefixes:
    """Bounded; the least recently used goes first.

    Args:
        most_bytes: How many bytes all states may take together; 0: none is kept.
        reach: How far back a sequence's memory can be cut.
    """

    def __init__(self, most_bytes: int, reach: Reach = None) -> None:
        self.most_bytes = most_bytes
        self._reach = reach
        self._kept: list[Prefix] = []

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """How many bytes their states take."""
        return sum(len(each.state) for each in self._kept)

    @property
    def recent(self) -> list[Prefix]:
        """What is kept, the most recently used first."""
        return self._kept[::-1]

    def least(self, length: int) -> int:
        """Return the fewest tokens that a sequence of that many can be cut to."""
        return least(length, self._reach)

    def best(self, prompt: Sequence[int], world: World) -> tuple[Prefix | None, int]:
        """Return the prefix that has most of the beginning of a prompt, and how many tokens of it."""
        found, longest = None, 0
        for prefix in self._kept:
            if prefix.world != world:
                continue
            shared = shared_length(prefix.tokens, prompt)
            if shared > longest and shared >= self.least(len(prefix.tokens)):
                found, longest = prefix, shared
        return found, longest

    def parting(self, prompt: Sequence[int], world: World) -> int:
        """Return how many tokens a prompt shares with a kept one, whether that can be cut there or not."""
        kept = (each.tokens for each in self._kept if each.world == world)
        return max((shared_length(tokens, prompt) for tokens in kept), default=0)

    def touch(self, prefix: Prefix) -> None:
        """Mark a prefix as the most recently used."""
        self._kept.remove(prefix)
        self._kept.append(prefix)

    def wants(self, tokens: Sequence[int], world: World) -> bool:
        """Whether a state of these tokens is worth making. If one that is kept has them all, that is used."""
        prefix, length = self.best(tokens, world)
        if prefix is None or length < len(tokens):
            return self.most_bytes > 0
        self.touch(prefix)
        return False

    def keep(self, prefix: Prefix) -> None:
        """Keep a prefix, if there is room for it at all.

        What it makes needless goes, and then what was used least recently.
        """
        if len(prefix.state) > self.most_bytes:
            return
        needless = self._needless(prefix)
        self._kept = [each for each in self._kept if each not in needless]
        self._kept.append(prefix)
        while len(self) > MOST or self.bytes > self.most_bytes:
            self.drop(self._next_to_go())

    def drop(self, prefix: Prefix) -> None:
        """Drop a prefix that is kept."""
        self._kept.remove(prefix)

    def _needless(self, prefix: Prefix) -> list[Prefix]:
        """Return what a new prefix serves as well, and a session's ends but for the one before it."""
        extended = [each for each in self._kept if each.kind is not Kind.PINNED and prefix.extends(each)]
        first = self.least(len(prefix.tokens))
        served = [each for each in extended if self.least(len(each.tokens)) >= first]
        ends = [each for each in extended if each.kind is Kind.END and each not in served]
        before = max(ends, key=lambda each: len(each.tokens), default=None)
        return served + [each for each in ends if each is not before]

    def _next_to_go(self) -> Prefix:
        for kinds in ({Kind.WAY}, {Kind.END, Kind.FORK}):
            for each in self._kept:
                if each.kind in kinds:
                    return each
        return self._kept[0]


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens both begin with; comparing slices leaves the loop to C."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
