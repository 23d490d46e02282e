"""How one sequence picks its tokens, over an array of logits.

The steps and their order are those of llama.cpp's chain (`engine/backends/llama/sampling`), so that a
setting means the same on every backend.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeassist.engine.messages import Sampling

# Tokens that the repeat penalty looks back on; llama.cpp's own default.
PENALTY_WINDOW = 64
# The most candidates that are looked at: the steps after `top_k` sort them all. 0 asks for "all"; nothing
# below this counts.
WIDEST_TOP_K = 1000
# Colder than this is greedy in all but name, and a logit over it may be more than a number can hold.
_COLDEST = 1e-6


class Sampler:
    """Picks tokens for one answer.

    Args:
        sampling: How. A seed gives the same picks for the same logits.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = np.random.default_rng(sampling.seed)

    def pick(self, logits: NDArray[np.float32], said: Sequence[int]) -> int:
        """Return a token.

        Args:
            logits: Of each token of the vocabulary, shape (vocabulary,).
            said: The tokens of the answer so far.
        """
        sampling = self._sampling
        penalised = sampling.repeat_penalty != 1.0
        if sampling.temperature <= 0 and not penalised:
            return int(np.argmax(logits))
        tokens, scores = self._likeliest(logits)
        if penalised:
            repeated = np.isin(tokens, np.asarray(said[-PENALTY_WINDOW:], np.int64))
            factors = np.where(scores > 0, 1 / sampling.repeat_penalty, sampling.repeat_penalty)
            scores = np.where(repeated, scores * factors, scores)
            order = np.argsort(-scores, kind="stable")
            tokens, scores = tokens[order], scores[order]
        if sampling.temperature <= 0:
            return int(tokens[0])
        likely = _softmax(scores)
        # At least the likeliest stays, whatever is asked for.
        within = np.cumsum(likely) - likely < sampling.top_p
        within &= likely >= sampling.min_p * likely[0]
        within[0] = True
        chances = _softmax(scores[within] / max(sampling.temperature, _COLDEST))
        return int(self._random.choice(tokens[within], p=chances))

    def _likeliest(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the candidates that `top_k` leaves and their logits, the likeliest first."""
        count = min(self._sampling.top_k or WIDEST_TOP_K, WIDEST_TOP_K, len(logits))
        tokens = np.argpartition(logits, -count)[-count:]
        tokens = tokens[np.argsort(-logits[tokens], kind="stable")]
        return tokens, logits[tokens].astype(np.float64)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max())
    shares: NDArray[np.float64] = raised / raised.sum()
    return shares
