"""KV states of sequences that have ended, for prompts that begin alike. Sans-I/O: states are opaque bytes.

They are kept outside of the KV cache: in it, every step would pass over them, and a lone stream would pay
10 % of its speed for a thousand tokens of them (docs/performance.md). Copying one back takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeassist.engine.kv.world import World

# A bound on their number, since each is compared with every new prompt.
MOST = 32


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A state and what it belongs to.

    Attributes:
        tokens: Whose KV entries the state holds.
        world: What else decided their values.
        state: From `Backend.snapshot`.
        pinned: Whether it is dropped last.
    """

    tokens: Sequence[int]
    world: World
    state: bytes | bytearray
    pinned: bool = False

    def extends(self, other: Prefix) -> bool:
        """Whether it has all that the other has."""
        shared = shared_length(self.tokens, other.tokens) if self.world == other.world else -1
        return shared == len(other.tokens)


class Prefixes:
    """Bounded; the least recently used goes first.

    Args:
        most_bytes: How many bytes all states may take together; 0: none is kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: list[Prefix] = []

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """How many bytes their states take."""
        return sum(len(each.state) for each in self._kept)

    def best(self, prompt: Sequence[int], world: World) -> tuple[Prefix | None, int]:
        """Return the prefix that shares the most tokens with the beginning of a prompt, and how many."""
        found, longest = None, 0
        for prefix in self._kept:
            if prefix.world != world:
                continue
            shared = shared_length(prefix.tokens, prompt)
            if shared > longest:
                found, longest = prefix, shared
        return found, longest

    def touch(self, prefix: Prefix) -> None:
        """Mark a prefix as the most recently used."""
        self._kept.remove(prefix)
        self._kept.append(prefix)

    def wants(self, tokens: Sequence[int], world: World) -> bool:
        """Whether a state of these tokens is worth making. If one that is kept has them all, that is used."""
        prefix, length = self.best(tokens, world)
        if prefix is None or length < len(tokens):
            return self._most_bytes > 0
        self.touch(prefix)
        return False

    def keep(self, prefix: Prefix) -> None:
        """Keep a prefix. It replaces those that it extends, and the least recently used if room is short."""
        self._kept = [each for each in self._kept if each.pinned or not prefix.extends(each)]
        self._kept.append(prefix)
        while len(self) > MOST or self.bytes > self._most_bytes:
            self.drop(next((each for each in self._kept if not each.pinned), self._kept[0]))

    def drop(self, prefix: Prefix) -> None:
        """Drop a prefix that is kept."""
        self._kept.remove(prefix)


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
