"""The bytes of each token, from the model's `tokenizer.json`.

The library decodes to text only, and loses up to three letters after an unfinished character.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

import msgspec

from edgeassist.errors import ModelError

# SentencePiece writes a space like this, and a byte that is no token of its own as <0x0A>.
_SPACE = "▁"
# More ids than any vocabulary has; a damaged file must not make us fill gigabytes.
_Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 24)]
_BYTES = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}


def _byte_alphabet() -> dict[int, int]:
    """Return the byte of each character that byte-level BPE writes bytes with: visible ones, then others."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = sorted(set(range(256)) - set(visible))
    return {byte: byte for byte in visible} | {0x100 + at: byte for at, byte in enumerate(hidden)}


_ALPHABET = _byte_alphabet()


class _Added(msgspec.Struct):
    """A token beside the vocabulary, whose text stands for itself."""

    id: _Id
    content: str
    special: bool = False


class _Model(msgspec.Struct):
    """A vocabulary: ids by text, or texts and scores in the order of their ids (Unigram)."""

    vocab: dict[str, _Id] | list[tuple[str, float]]


class _Tokenizer(msgspec.Struct):
    """What of the file is read; the merges, most of it, are passed over."""

    model: _Model
    added_tokens: list[_Added] = []
    pre_tokenizer: Any = None
    decoder: Any = None


class Pieces:
    """Every token's bytes, one after the other in memory.

    Args:
        pieces: Bytes by token id.
        special: Those that are control tokens, with bytes or without.
        marks: Those of them that have bytes, by their texts.
    """

    def __init__(
        self,
        pieces: Mapping[int, bytes],
        special: frozenset[int] = frozenset(),
        marks: Mapping[str, int] | None = None,
    ) -> None:
        self.marks = dict(marks or {})
        each = [pieces.get(token, b"") for token in range(max(pieces, default=-1) + 1)]
        self._bytes = b"".join(each)
        self._starts = array("I", accumulate(map(len, each), initial=0))
        self._special = special

    def __len__(self) -> int:
        """Return the number of ids up to the largest."""
        return len(self._starts) - 1

    @property
    def of_text(self) -> list[bytes]:
        """The bytes of each token; none of a control token."""
        return [b"" if token in self._special else self[token] for token in range(len(self))]

    def __getitem__(self, token: int) -> bytes:
        """Return a token's bytes; none for a special token, and for an id that the vocabulary lacks."""
        if not 0 <= token < len(self):
            return b""
        return self._bytes[self._starts[token] : self._starts[token + 1]]


def read_pieces(path: Path, shown: Collection[str] = ()) -> Pieces:
    """Read a `tokenizer.json`: byte-level BPE, or SentencePiece with bytes for what it has no token for.

    Args:
        path: The file.
        shown: The special tokens whose bytes are their texts.

    Raises:
        ModelError: It isn't one.
    """
    try:
        tokenizer = msgspec.json.decode(path.read_bytes(), type=_Tokenizer)
    except (OSError, ValueError, RecursionError) as error:  # among them UnicodeDecodeError
        raise ModelError(
            f"model.path: {path} can't be read ({error}): get the tokenizer's files again"
        ) from None
    vocab = tokenizer.model.vocab
    ids: Iterable[tuple[str, int]] = (
        vocab.items() if isinstance(vocab, dict) else ((text, at) for at, (text, _) in enumerate(vocab))
    )
    byte_level = any(_has(each, "ByteLevel") for each in (tokenizer.decoder, tokenizer.pre_tokenizer))
    bytes_of = _byte_level if byte_level else _sentence_piece
    pieces = {token: bytes_of(text) for text, token in ids}
    for added in tokenizer.added_tokens:
        hidden = added.special and added.content not in shown
        pieces[added.id] = b"" if hidden else added.content.encode()
    marks = {added.content: added.id for added in tokenizer.added_tokens if added.content in shown}
    special = frozenset(added.id for added in tokenizer.added_tokens if added.special)
    return Pieces(pieces, special.union(marks.values()), marks)


def _byte_level(text: str) -> bytes:
    try:
        return text.translate(_ALPHABET).encode("latin-1")
    except UnicodeEncodeError:  # a character that is not of the alphabet stands for itself
        return text.encode()


def _sentence_piece(text: str) -> bytes:
    return _BYTES.get(text) or text.replace(_SPACE, " ").encode()


def _has(component: Any, kind: str) -> bool:
    """Whether a part of the tokenizer, or one of those that it consists of, is of that kind."""
    if not isinstance(component, dict):
        return False
    inner = component.get("decoders") or component.get("pretokenizers")
    within = inner if isinstance(inner, list) else []
    return component.get("type") == kind or any(_has(each, kind) for each in within)
