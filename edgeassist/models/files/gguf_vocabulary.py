"""The vocabulary of a GGUF file, as it is written there (ggml's docs/gguf.md, `tokenizer.ggml`)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from typing import overload

from edgeassist.models.files.gguf_container import STRING, TOKENS, Field

_LENGTH = struct.Struct("<Q")
_INT32 = 5


class TokenType(IntEnum):
    """What a file says of a token."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Texts(Sequence[bytes]):
    """The texts of a vocabulary, each taken out of the file's bytes when it is asked for.

    Attributes:
        raw: The file's bytes: each text behind eight bytes with its length.
        stops: Where each ends there.
    """

    def __init__(self, raw: bytes, stops: Sequence[int]) -> None:
        self.raw = raw
        self.stops = stops

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> Texts:
        """Return these texts as a file has them."""
        parts = [_LENGTH.pack(len(text)) + text for text in texts]
        return cls(b"".join(parts), list(accumulate(map(len, parts))))

    def __len__(self) -> int:
        return len(self.stops)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        start = self.stops[index - 1] if index else 0
        return self.raw[start + _LENGTH.size : self.stops[index]]

    def __iter__(self) -> Iterator[bytes]:
        raw, start = self.raw, _LENGTH.size
        for stop in self.stops:
            yield raw[start:stop]
            start = stop + _LENGTH.size


@dataclass(frozen=True, slots=True)
class FileVocabulary:
    """The tokens of a file.

    Attributes:
        scheme: The tokenizer's kind: "gpt2" (pairs of bytes), "llama" (SentencePiece) and others.
        texts: Of each token, as it is spelled in the file.
        types: Of each token (`TokenType`).
    """

    scheme: str
    texts: Texts
    types: Sequence[int]


def vocabulary_of(fields: Mapping[str, Field]) -> FileVocabulary | None:
    """Return a file's vocabulary; None where it does not tell the type of each token."""
    tokens, types = fields.get(TOKENS), fields.get("tokenizer.ggml.token_type")
    scheme = fields.get("tokenizer.ggml.model")
    if tokens is None or types is None or scheme is None:
        return None
    if tokens.item != STRING or types.item != _INT32 or tokens.count != types.count:
        return None
    return FileVocabulary(
        str(scheme.values()[0]), Texts(tokens.raw, tokens.stops), memoryview(types.raw).cast("i")
    )
