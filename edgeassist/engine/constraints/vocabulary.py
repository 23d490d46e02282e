"""A model's vocabulary as llguidance takes it: the bytes of all tokens, and how a text becomes tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from llguidance import LLTokenizer, TokenizerWrapper

from edgeassist.engine.step import Token

log = logging.getLogger(__name__)

# A text after it is tokenized as in the middle of an answer: SentencePiece writes a space before the first.
_BEFORE = "\n"
# How many tokens that may become.
_MOST_BEFORE = 3
# For tokens within texts of JSON llguidance has masks ready. Of its four such sets, one takes half of the
# memory, and bounds of JSON are followed as fast (measured: 55 and 60 µs a mask; without any, 590).
_SLICES = [r'[^"\\\x00-\x1F\x7F]{1,30}']


class Vocabulary:
    """The tokens of a model.

    Args:
        pieces: The bytes of each; none of a control token, which no bound answer has but for its marks.
        ends: The ids of those that end an answer.
        tokenize: Returns the ids of a text, none of them a control token's. Any thread.
        marks: The ids of control tokens that a grammar may ask for, by their texts.

    Attributes:
        marks: These.
    """

    def __init__(
        self,
        pieces: Sequence[bytes],
        ends: Sequence[int],
        tokenize: Callable[[str], list[int]],
        marks: Mapping[str, int],
    ) -> None:
        self.size = len(pieces)
        known = [id_ for id_ in range(len(pieces)) if not pieces[id_] and id_ not in ends]
        self.marks = {text: id_ for text, id_ in marks.items() if id_ in known}
        self._texts = {id_: text.encode() for text, id_ in self.marks.items()}
        self._end = ends[0]
        self._hidden = frozenset(id_ for id_, piece in enumerate(pieces) if not piece)
        self._tokenize = tokenize
        self._table: LLTokenizer | None = None
        self._table = LLTokenizer(
            TokenizerWrapper(_Given(pieces, ends, self._ids)),
            n_vocab=len(pieces),
            eos_token=list(ends),
            slices=_SLICES,
        )

    @property
    def table(self) -> LLTokenizer:
        """What a matcher needs."""
        assert self._table is not None  # noqa: S101 - made by __init__
        return self._table

    @property
    def end(self) -> Token:
        """A token that ends an answer."""
        return Token(self._end, b"", ends=True)

    def token(self, id_: int) -> Token:
        """Return what an id stands for that ends nothing."""
        return Token(id_, self._texts.get(id_) or self._piece(id_), ends=False)

    def _piece(self, id_: int) -> bytes:
        return b"" if id_ in self._hidden else self.table.decode_bytes([id_])

    def _ids(self, text: bytes) -> list[int]:
        """Return the tokens that a model would write for a text in the middle of an answer.

        llguidance ends its thread with what this raises, so it raises nothing.
        """
        if self._table is None:
            return []  # asked whether it takes bytes
        try:
            return self._model_ids(text)
        except Exception:
            log.exception("a text of a bounded answer could not be tokenized")
            return self._greedy(text)

    def _model_ids(self, text: bytes) -> list[int]:
        ids = self._tokenize(text.decode())
        if self._spells(ids, text):
            return ids
        ids = self._tokenize(_BEFORE + text.decode())
        for at in range(1, _MOST_BEFORE + 1):
            if self._spells(ids[at:], text):
                return ids[at:]
        # The model's tokenizer changes this text, as some do with white space.
        return self._greedy(text)

    def _greedy(self, text: bytes) -> list[int]:
        return [int(id_) for id_ in self.table.greedy_tokenize(text.decode())]

    def _spells(self, ids: Sequence[int], text: bytes) -> bool:
        return b"".join(map(self._piece, ids)) == text


class _Given:
    """What `TokenizerWrapper` asks for."""

    def __init__(
        self, pieces: Sequence[bytes], ends: Sequence[int], ids: Callable[[bytes], list[int]]
    ) -> None:
        self.eos_token_id = ends[0]
        self.bos_token_id = None
        # Without bytes of their own, all control tokens are one in a mask.
        self.tokens = [piece or b"[%d]" % id_ for id_, piece in enumerate(pieces)]
        self.special_token_ids = sorted({id_ for id_, piece in enumerate(pieces) if not piece} | {*ends})
        self._ids = ids

    def __call__(self, text: bytes) -> list[int]:
        return self._ids(text)
