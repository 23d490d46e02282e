"""What stays in KV memory after its sequence has ended, for prompts that begin alike. Pure.

A prompt that shares its first tokens with a kept prefix takes their KV entries over by reference instead of
computing them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prefix:
    """Tokens whose KV entries a slot holds. One that is pinned goes last when room is needed."""

    slot: int
    tokens: Sequence[int]
    pinned: bool = False


class Prefixes:
    """Bounded; the least recently used goes first.

    Args:
        most: How many are kept.
        most_tokens: How many tokens they may have together, what they share counted once.
    """

    def __init__(self, *, most: int, most_tokens: int) -> None:
        self._most = most
        self._most_tokens = most_tokens
        self._kept: dict[int, Prefix] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def best(self, prompt: Sequence[int]) -> tuple[Prefix | None, int]:
        """Return the prefix that shares the most tokens with the beginning of a prompt, and how many."""
        found, longest = None, 0
        for prefix in self._kept.values():
            shared = shared_length(prefix.tokens, prompt)
            if shared > longest:
                found, longest = prefix, shared
        return found, longest

    def touch(self, slot: int) -> None:
        """Note that a prefix was of use."""
        self._kept[slot] = self._kept.pop(slot)

    def keep(self, prefix: Prefix) -> list[int]:
        """Keep a prefix; return the slots that hold nothing of use any more, maybe its own among them."""
        dropped: list[int] = []
        for other in list(self._kept.values()):
            shared = shared_length(prefix.tokens, other.tokens)
            if shared == len(prefix.tokens) and not prefix.pinned:
                self.touch(other.slot)
                return [*dropped, prefix.slot]
            if shared == len(other.tokens) and not other.pinned:
                del self._kept[other.slot]
                dropped.append(other.slot)
        self._kept[prefix.slot] = prefix
        while len(self) > self._most or self._tokens > self._most_tokens:
            dropped.append(self._drop_oldest())
        return dropped

    def drop(self, slot: int) -> None:
        """Keep that one no longer."""
        del self._kept[slot]

    def evict(self) -> int | None:
        """Drop the least recently used and return its slot; None where nothing is kept."""
        return self._drop_oldest() if self._kept else None

    @property
    def _tokens(self) -> int:
        kept = [prefix.tokens for prefix in self._kept.values()]
        return sum(
            len(tokens) - max((shared_length(tokens, other) for other in kept[:index]), default=0)
            for index, tokens in enumerate(kept)
        )

    def _drop_oldest(self) -> int:
        oldest = next((each for each in self._kept.values() if not each.pinned), None)
        slot = next(iter(self._kept)) if oldest is None else oldest.slot
        self.drop(slot)
        return slot


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
