"""What is asked: random words, as many as make so many tokens. Pure.

Every repetition has texts of its own, so that nobody finds an earlier one's work done; within it all sides
get the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from edgeassist.trial_models.words import WORDS

# A word is not always as many tokens as the words before; one token over a multiple of the batch size takes
# a forward pass more.
SLACK = 0.01
REQUEST = " Write a very long story with all of these words."


@dataclass(frozen=True, slots=True)
class Ruler:
    """How many tokens a word has, and a question without words: the chat template's and `REQUEST`'s."""

    per_word: float
    overhead: float

    @classmethod
    def of(cls, measured: Sequence[tuple[int, int]]) -> Ruler:
        """Return the ruler that two questions tell: their words (the fewer first) and their tokens."""
        (few, few_tokens), (many, many_tokens) = measured
        per_word = max(0.1, (many_tokens - few_tokens) / (many - few))
        return cls(per_word, few_tokens - few * per_word)

    def words(self, tokens: int, *, overhead: float = 0.0) -> int:
        """Return how many words make about so many tokens, rather less, and at least one word."""
        return max(1, int(((1 - SLACK) * tokens - overhead) / self.per_word))


class Texts:
    """The texts of one repetition: the same seed yields the same ones, in the order they are asked for.

    Args:
        seed: Another one for every repetition.
        ruler: To measure texts with.
    """

    def __init__(self, seed: str, ruler: Ruler) -> None:
        self._random = random.Random(seed)  # noqa: S311 - words for a prompt
        self._ruler = ruler

    def system(self, tokens: int) -> str:
        """Return a system prompt of about so many tokens."""
        return self.prose(self._ruler.words(tokens))

    def question(self, tokens: int) -> str:
        """Return a question that is about so many tokens, those of the chat template included."""
        return self.asking(self._ruler.words(tokens, overhead=self._ruler.overhead))

    def asking(self, words: int) -> str:
        """Return a question with so many words."""
        return f" {self.prose(words)}{REQUEST}"

    def prose(self, count: int) -> str:
        """Return so many words as a sentence."""
        return " ".join(self._random.choices(WORDS, k=count)) + "."

    def name(self) -> str:
        """Return a name that no other repetition has."""
        return f"{self._random.getrandbits(64):016x}"
