"""N-gram speculation (prompt lookup): draft the next tokens from where the text was before. Sans-I/O.

An answer that quotes its prompt, fills a form or repeats itself continues as it did the last time. A step
that verifies a draft of k tokens costs more than one without, and yields up to k tokens more. Both sides are
measured while it runs; drafts that are not tried count for the hit rate as well.
"""

from __future__ import annotations

from collections.abc import Sequence

# How many last tokens must match for a draft; longer n-grams are right more often.
NGRAM = 3
# Draft lengths worth considering. The cost of a step grows with each token, so a few lengths are enough.
LENGTHS = (2, 4, 8)
# Cost of a step with a draft, in steps of one token, before it was measured. Lower than any CPU reaches, so
# that a draft that looks certain is tried once.
_FIRST_COST = 1.2
# A gain below this is noise.
_WORTH = 1.1
_WEIGHT = 0.1


class NgramIndex:
    """Where each n-gram of one sequence occurred last."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}
        self._seen = 0

    def draft(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return up to `most` tokens that may come next; the sequence may only grow between calls."""
        # Nothing follows the last n-gram itself yet.
        for end in range(max(self._seen, NGRAM), len(tokens)):
            self._after[tuple(tokens[end - NGRAM : end])] = end
        self._seen = max(self._seen, len(tokens))
        start = self._after.get(tuple(tokens[-NGRAM:]))
        if start is None:
            return []
        # What repeats with a short period goes on repeating.
        period = len(tokens) - start
        return [tokens[start + index % period] for index in range(most)]


class Speculation:
    """Decides how many tokens to draft.

    Args:
        most: The most tokens of one draft.
    """

    def __init__(self, *, most: int = LENGTHS[-1]) -> None:
        self.most = most
        self._lengths = tuple(length for length in LENGTHS if length <= most)
        self._hit = 0.0
        self._seconds: dict[int, float] = {}

    def length(self) -> int:
        """Return the length that gains most; 0 if none is worth its cost."""
        best, gain = 0, _WORTH
        for length in self._lengths:
            expected = sum(self._hit**count for count in range(length + 1)) / self._cost(length)
            if expected > gain:
                best, gain = length, expected
        return best

    def learn(self, draft: Sequence[int], actual: Sequence[int]) -> None:
        """Compare a draft, tried or not, with the tokens that were sampled."""
        for drafted, sampled in zip(draft, actual, strict=False):
            self._hit += _WEIGHT * ((drafted == sampled) - self._hit)
            if drafted != sampled:
                return

    def timed(self, length: int, seconds: float) -> None:
        """Learn how long a step with a draft of that length (0: none) took."""
        known = self._seconds.get(length, seconds)
        self._seconds[length] = known + _WEIGHT * (seconds - known)

    def _cost(self, length: int) -> float:
        plain, long = self._seconds.get(0), self._seconds.get(length)
        return _FIRST_COST if plain is None or long is None else max(1.0, long / plain)
