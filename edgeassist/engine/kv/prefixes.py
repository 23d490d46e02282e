"""KV states of sequences that have ended, for prompts that begin alike. Pure: a state is only carried.

They wait outside of KV memory: in it, every step would pass over them, and a lone stream would pay 10 % of
its speed for a thousand tokens of them (docs/performance.md). A copy back takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Each is compared with every new prompt.
MOST = 32


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """Tokens and the state that computing them led to. One that is pinned goes last."""

    tokens: Sequence[int]
    state: bytes | bytearray
    pinned: bool = False


class Prefixes:
    """Bounded; the least recently used goes first.

    Args:
        most_bytes: What all states may take together; 0: none is kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: list[Prefix] = []

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """What their states take."""
        return sum(len(each.state) for each in self._kept)

    def best(self, prompt: Sequence[int]) -> tuple[Prefix | None, int]:
        """Return the prefix that shares the most tokens with the beginning of a prompt, and how many."""
        found, longest = None, 0
        for prefix in self._kept:
            shared = shared_length(prefix.tokens, prompt)
            if shared > longest:
                found, longest = prefix, shared
        return found, longest

    def touch(self, prefix: Prefix) -> None:
        """Note that a prefix was of use."""
        self._kept.remove(prefix)
        self._kept.append(prefix)

    def wants(self, tokens: Sequence[int]) -> bool:
        """Whether a state of these tokens is worth making: none that is kept has them all."""
        prefix, length = self.best(tokens)
        if prefix is None or length < len(tokens):
            return self._most_bytes > 0
        self.touch(prefix)
        return False

    def keep(self, prefix: Prefix) -> None:
        """Keep a prefix; it replaces those that it goes on with, and others go where it needs their room."""
        self._kept = [
            each
            for each in self._kept
            if each.pinned or shared_length(each.tokens, prefix.tokens) < len(each.tokens)
        ]
        self._kept.append(prefix)
        while len(self) > MOST or self.bytes > self._most_bytes:
            self.drop(next((each for each in self._kept if not each.pinned), self._kept[0]))

    def drop(self, prefix: Prefix) -> None:
        """Keep that one no longer."""
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
