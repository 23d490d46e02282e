"""All tokens' bytes at once, from how their file spells them; asking llama.cpp for each takes longer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from edgeassist.models.files.gguf_vocabulary import FileVocabulary, TokenType

# How schemes spell bytes.
_PAIRS, _SENTENCES = "gpt2", frozenset({"llama", "gemma4"})
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}".encode()
# llama.cpp takes tokens for control tokens by what they are called. All these names end so.
_MARKED = b">]["
# Characters of a byte's own in the spelling of byte pairs; the others stand from 256 on, in order.
_OWN = (*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1))
# UTF-8: what begins a character of two bytes, and the bits of its second.
_TWO, _BITS = 0xC0, 0x3F
_LONGEST = 0xE0


class Spelling:
    """How a file spells its vocabulary.

    Args:
        vocabulary: Of the file.

    Attributes:
        vocabulary: It.
    """

    def __init__(self, vocabulary: FileVocabulary) -> None:
        self.vocabulary = vocabulary

    @cached_property
    def notable(self) -> Sequence[int]:
        """The tokens that may be other than text for llama.cpp, and some more."""
        texts, types = self.vocabulary.texts, np.asarray(self.vocabulary.types, np.int32)
        raw, stops = np.frombuffer(texts.raw, np.uint8), np.asarray(texts.stops, np.int64)
        # Before an empty text there is the last byte of its length.
        marked = np.isin(raw[stops - 1], list(_MARKED)) if raw.size else np.zeros(0, np.bool_)
        declared = (types != TokenType.NORMAL) & (types != TokenType.BYTE)
        found: list[int] = np.flatnonzero(declared | marked).tolist()
        return found

    def pieces(self) -> list[bytes] | None:
        """Return the bytes of each token, if it is text; None where that can't be told of the scheme."""
        texts, types = list(self.vocabulary.texts), self.vocabulary.types
        if self.vocabulary.scheme == _PAIRS:
            return _of_pairs(texts, types)
        if self.vocabulary.scheme in _SENTENCES:
            return [_of_sentence(*each) for each in zip(texts, types, strict=True)]
        return None


def _of_sentence(text: bytes, kind: int) -> bytes:
    if kind == TokenType.BYTE:
        return bytes([int(text[3:5], 16)])
    return text.replace(_SPACE, b" ") if kind == TokenType.NORMAL else text


def _of_pairs(texts: Sequence[bytes], types: Sequence[int]) -> list[bytes]:
    whole = np.frombuffer(b"".join(texts), np.uint8)
    second = np.zeros(whole.size, np.bool_)
    second[1:] = (whole[:-1] >= _TWO) & (whole[:-1] < _LONGEST)
    following = np.append(whole[1:], 0)
    two = (whole >= _TWO) & (whole < _LONGEST)
    characters = np.where(two, ((whole & 0x1F).astype(np.uint16) << 6) | (following & _BITS), whole)
    decoded = _bytes_of_characters()[np.minimum(characters, 2 * 256 - 1)][~second].astype(np.uint8).tobytes()
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    ends = np.cumsum(lengths)
    # A character of two bytes is one.
    passed = np.concatenate(([0], np.cumsum(second)))
    stops = (ends - passed[ends]).tolist()
    starts = [0, *stops[:-1]]
    normal = int(TokenType.NORMAL)
    return [
        decoded[start:stop] if kind == normal else text
        for text, kind, start, stop in zip(texts, types, starts, stops, strict=True)
    ]


@cache
def _bytes_of_characters() -> NDArray[np.uint16]:
    table = np.zeros(2 * 256, np.uint16)
    table[list(_OWN)] = _OWN
    others = [byte for byte in range(256) if byte not in _OWN]
    table[256 : 256 + len(others)] = others
    return table
