"""One answer's bounds: which tokens may come next, which must, and whether it is complete."""

from __future__ import annotations

import numpy as np
from llguidance import LLMatcher
from numpy.typing import NDArray

from edgeassist.engine.constraints.explanation import explain
from edgeassist.engine.constraints.vocabulary import Vocabulary
from edgeassist.engine.step import Token

_WORD = 32
_BITS = np.arange(_WORD)
# Where at most one word in so many has a token that is allowed, only these logits are kept: 0.1 instead of
# 0.3 ms over 151,936, measured beside other programs.
_FEW = 8


class Bound:
    """The state of one answer in its grammar: fulfils `backends.base.Bound`.

    What goes wrong in it is the end of its own answer only, so nothing raises: see `problem`.

    Args:
        matcher: At the grammar's beginning, without an error.
        vocabulary: Of the model.
    """

    def __init__(self, matcher: LLMatcher, vocabulary: Vocabulary) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._mask = np.zeros((vocabulary.size + _WORD - 1) // _WORD, np.uint32)

    @property
    def problem(self) -> str | None:
        """Why the answer can't go on; None: it can."""
        return explain(self._matcher.get_error()) if self._matcher.is_error() else None

    def allows(self, token: int) -> bool:
        """Whether that token may come next."""
        # A model may have more rows than its tokenizer tokens; asked for one of these, the matcher breaks.
        return token < self._vocabulary.size and self._matcher.validate_tokens([token]) == 1

    def limit(self, logits: NDArray[np.float32]) -> None:
        """Leave only those tokens that may come next, in place.

        Args:
            logits: Shape (vocabulary,), or longer where a model has more rows than tokens, or shorter.
        """
        if self._matcher.is_error():
            return
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        if self._matcher.is_error():
            return
        if (words := np.flatnonzero(self._mask)).size <= self._mask.size // _FEW:
            ids = _ids_in(self._mask, words)
            ids = ids[ids < logits.size]
            kept = logits[ids]
            logits.fill(-np.inf)
            logits[ids] = kept
            return
        size = min(self._vocabulary.size, logits.size)
        allowed = np.unpackbits(self._mask.view(np.uint8), bitorder="little", count=size)
        logits[:size][allowed == 0] = -np.inf
        logits[size:] = -np.inf

    def accept(self, token: int) -> None:
        """Go on with a token that was picked from what `limit` left."""
        self._matcher.consume_token(token)

    def forced(self) -> list[Token]:
        """Return what must come next, and go on with it; its last one ends the answer that is complete."""
        ids = self._matcher.compute_ff_tokens()
        if ids:
            self._matcher.consume_tokens(ids)
        tokens = [self._vocabulary.token(id_) for id_ in ids]
        if self._matcher.is_stopped() and not self._matcher.is_error():
            tokens.append(self._vocabulary.end)
        return tokens

    def rewind(self, count: int) -> None:
        """Take back the last tokens."""
        self._matcher.rollback(count)


def _ids_in(mask: NDArray[np.uint32], words: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the tokens of a mask that are in some of its words."""
    bits = np.unpackbits(mask[words].view(np.uint8), bitorder="little").reshape(-1, _WORD)
    ids: NDArray[np.intp] = (words[:, None] * _WORD + _BITS)[bits.view(np.bool_)]
    return ids
