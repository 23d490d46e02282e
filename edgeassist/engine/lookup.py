"""Speculation by prompt lookup: guess the next tokens where the text so far has been here before. Pure.

An answer that quotes its prompt, fills a form or repeats itself continues as it did the last time. A step
that checks a guess of k tokens costs more than one without, and yields up to k tokens more. Both sides of
that bet are measured while it runs: how often guesses hold is known even of guesses that were not tried.
"""

from __future__ import annotations

from collections.abc import Sequence

# The tokens that have to be the same for a guess; longer ones are right more often.
NGRAM = 3
# Guesses worth considering. The cost of a step grows with each token, so there is no use in many lengths.
LENGTHS = (2, 4, 8)
# What a longer step costs, in steps of one token, before that was measured. Below what any CPU reaches, so
# that a guess that looks sure is tried once.
_FIRST_COST = 1.2
# A gain below this is noise.
_WORTH = 1.1
_WEIGHT = 0.1


class Lookup:
    """Where each n-gram of one sequence occurred last."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}
        self._seen = 0

    def guess(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return up to `most` tokens that may come next; the sequence only ever grows between calls."""
        # The last n-gram itself has nothing behind it yet.
        for end in range(max(self._seen, NGRAM), len(tokens)):
            self._after[tuple(tokens[end - NGRAM : end])] = end
        self._seen = max(self._seen, len(tokens))
        start = self._after.get(tuple(tokens[-NGRAM:]))
        if start is None:
            return []
        # What repeats with a short period goes on repeating.
        period = len(tokens) - start
        return [tokens[start + index % period] for index in range(most)]


class Bet:
    """Decides how many tokens to guess.

    Args:
        most: The most tokens of one guess.
    """

    def __init__(self, *, most: int = LENGTHS[-1]) -> None:
        self.most = most
        self._lengths = tuple(length for length in LENGTHS if length <= most)
        self._hit = 0.0
        self._seconds: dict[int, float] = {}

    def length(self) -> int:
        """Return the length that gains most; 0 where none is worth its cost."""
        best, gain = 0, _WORTH
        for length in self._lengths:
            expected = sum(self._hit**count for count in range(length + 1)) / self._cost(length)
            if expected > gain:
                best, gain = length, expected
        return best

    def learn(self, guess: Sequence[int], actual: Sequence[int]) -> None:
        """Compare a guess, tried or not, with what came."""
        for guessed, came in zip(guess, actual, strict=False):
            self._hit += _WEIGHT * ((guessed == came) - self._hit)
            if guessed != came:
                return

    def timed(self, length: int, seconds: float) -> None:
        """Take into account how long a step with a guess of that length (0: none) took."""
        known = self._seconds.get(length, seconds)
        self._seconds[length] = known + _WEIGHT * (seconds - known)

    def _cost(self, length: int) -> float:
        plain, long = self._seconds.get(0), self._seconds.get(length)
        return _FIRST_COST if plain is None or long is None else max(1.0, long / plain)
