"""Questions and system prompts of random words, sized in tokens.

Every repetition has its own texts, so that no cache from an earlier one helps; within a repetition all sides
get the same texts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from edgeassist.trial_models.words import WORDS

# Aim a little low: words differ in tokens, and one token over a multiple of the batch size costs another
# forward pass.
SLACK = 0.01
REQUEST = " Write a very long story with all of these words."


@dataclass(frozen=True, slots=True)
class Ruler:
    """Tokens per word, and the fixed overhead of a question: the chat template and `REQUEST`."""

    per_word: float
    overhead: float

    @classmethod
    def of(cls, measured: Sequence[tuple[int, int]]) -> Ruler:
        """Fit a ruler to two measured questions, each (words, tokens), the shorter first."""
        (few, few_tokens), (many, many_tokens) = measured
        per_word = max(0.1, (many_tokens - few_tokens) / (many - few))
        return cls(per_word, few_tokens - few * per_word)

    def words(self, tokens: int, *, overhead: float = 0.0) -> int:
        """Return the number of words, at least 1, that make about `tokens` tokens, rather fewer than more."""
        return max(1, int(((1 - SLACK) * tokens - overhead) / self.per_word))


class Texts:
    """The texts of one repetition; the same seed and calls yield the same texts.

    Args:
        seed: Unique to the repetition.
        ruler: Converts tokens to words.
    """

    def __init__(self, seed: str, ruler: Ruler) -> None:
        self._random = random.Random(seed)  # noqa: S311 - words for a prompt
        self._ruler = ruler

    def system(self, tokens: int) -> str:
        """Return a system prompt of about `tokens` tokens."""
        return self.prose(self._ruler.words(tokens))

    def question(self, tokens: int) -> str:
        """Return a question of about `tokens` tokens, including the chat template's."""
        return self.asking(self._ruler.words(tokens, overhead=self._ruler.overhead))

    def asking(self, words: int) -> str:
        """Return a question of `words` words."""
        return f" {self.prose(words)}{REQUEST}"

    def prose(self, count: int) -> str:
        """Return a sentence of `count` words."""
        return " ".join(self._random.choices(WORDS, k=count)) + "."

    def words(self, count: int) -> list[str]:
        """Return that many different words."""
        return self._random.sample(WORDS, count)

    def name(self) -> str:
        """Return a random name, unique to the repetition."""
        return f"{self._random.getrandbits(64):016x}"
