"""The vocabulary of a GGUF file, as it is written there (ggml's docs/gguf.md, `tokenizer.ggml`)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from edgeassist.models.files.gguf_container import STRING, Field

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


@dataclass(frozen=True, slots=True)
class FileVocabulary:
    """The tokens of a file.

    Attributes:
        scheme: The tokenizer's kind: "gpt2" (pairs of bytes), "llama" (SentencePiece) and others.
        texts: Of each token, as it is spelled in the file.
        types: Of each token (`TokenType`).
    """

    scheme: str
    texts: Sequence[bytes]
    types: Sequence[int]


def vocabulary_of(fields: Mapping[str, Field]) -> FileVocabulary | None:
    """Return a file's vocabulary; None where it does not tell the type of each token."""
    tokens, types = fields.get("tokenizer.ggml.tokens"), fields.get("tokenizer.ggml.token_type")
    scheme = fields.get("tokenizer.ggml.model")
    if tokens is None or types is None or scheme is None:
        return None
    if tokens.item != STRING or types.item != _INT32 or tokens.count != types.count:
        return None
    return FileVocabulary(str(scheme.values()[0]), _texts(tokens), memoryview(types.raw).cast("i"))


def _texts(field: Field) -> list[bytes]:
    texts, raw, end, length_at = [], field.raw, 0, _LENGTH.unpack_from
    for _ in range(field.count):
        start = end + _LENGTH.size
        end = start + length_at(raw, end)[0]
        texts.append(raw[start:end])
    return texts
