"""Vocabularies: one made up of words, one borrowed from another model, one of merges that were learned.

Byte-level BPE in all cases: every text has tokens, and every token has text.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

from edgeassist.errors import ModelError
from edgeassist.models.files.gguf_container import read_fields
from edgeassist.trial_models.words import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SPECIAL_TOKENS = 256 + len(CONTROL_TOKENS)
PUNCTUATION = (",", ".")

# Loudness of a token's embedding: a quiet one is all but never sampled, a loud one more often than others.
_QUIET = 0.1
_LOUD = 1.6

_SPACE = "Ġ"  # a space in the alphabet of byte-level BPE
_TOKENS = "tokenizer.ggml.tokens"
_TYPES = "tokenizer.ggml.token_type"
_EOS = "tokenizer.ggml.eos_token_id"
_TEMPLATE = "tokenizer.chat_template"

_SYLLABLES = [
    first + vowel + last for first in "bcdfghlmnprst" for vowel in "aeiou" for last in ("", *"lnrst")
]


class Turns(StrEnum):
    """How a model of random weights ends its turns: now and then, or all but never."""

    ENDING = "ending"
    ENDLESS = "endless"


@dataclass(frozen=True, slots=True)
class Entry:
    """A metadata value and its GGUF type; `item` is what an array holds, where that can't be told from it."""

    value: Any
    kind: gguf.GGUFValueType
    item: gguf.GGUFValueType | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer as GGUF metadata; `fragments` are the tokens that only begin words."""

    entries: Mapping[str, Entry]
    fragments: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """The number of tokens."""
        return len(self.entries[_TOKENS].value)

    def loudness(self, turns: Turns) -> NDArray[np.float32]:
        """Return how far each token's logit may stray from 0: words far, anything else hardly."""
        tokens = self.entries[_TOKENS].value
        normal = gguf.TokenType.NORMAL
        types = self.entries[_TYPES].value if _TYPES in self.entries else [normal] * len(tokens)
        loudness = np.full(len(tokens), _QUIET, np.float32)
        for index, (token, kind) in enumerate(zip(tokens, types, strict=True)):
            if token in PUNCTUATION:
                loudness[index] = _LOUD
            elif kind == normal and len(token) > 1 and token not in self.fragments:
                loudness[index] = 1.0
        if _EOS in self.entries:
            loudness[self.entries[_EOS].value] = _LOUD if turns is Turns.ENDING else _QUIET
        return loudness


def make_up_vocabulary(size: int) -> Vocabulary:
    """Return `size` tokens (more than `SPECIAL_TOKENS`): bytes, English words, then invented ones."""
    # A word is put together letter by letter from the left. All these merges start with the space, so they
    # never meet another word's. Each beginning of a word is a token too: llama.cpp drops the bytes of a merge
    # whose result it can't find.
    parents: dict[str, str] = {}
    words: set[str] = set()
    for word in _words():
        beginnings = [_SPACE + word[:end] for end in range(len(word) + 1)]
        parents |= dict(zip(beginnings[1:], beginnings, strict=False))
        words.add(beginnings[-1])
        if len(parents) >= size - SPECIAL_TOKENS:
            break
    invented = list(parents)[: size - SPECIAL_TOKENS]
    merges = [(parents[token], token[-1]) for token in invented]
    return replace(byte_level_vocabulary(merges), fragments=frozenset(invented) - words)


def byte_level_vocabulary(merges: Sequence[tuple[str, str]], *, template: str = CHAT_TEMPLATE) -> Vocabulary:
    """Return a vocabulary of bytes, ChatML's control tokens, and a token for each merge; Qwen2's rules.

    Args:
        merges: The pairs that become one token, the most important first, in the alphabet of byte-level BPE.
        template: The chat template, a Jinja2 text.
    """
    alphabet, merged = byte_alphabet(), [left + right for left, right in merges]
    tokens = [*alphabet, *CONTROL_TOKENS, *merged]
    types = [int(gguf.TokenType.NORMAL)] * len(tokens)
    types[len(alphabet) : SPECIAL_TOKENS] = [int(gguf.TokenType.CONTROL)] * len(CONTROL_TOKENS)
    kinds = gguf.GGUFValueType
    entries = {
        "tokenizer.ggml.model": Entry("gpt2", kinds.STRING),
        "tokenizer.ggml.pre": Entry("qwen2", kinds.STRING),
        _TOKENS: Entry(tokens, kinds.ARRAY),
        _TYPES: Entry(types, kinds.ARRAY),
        "tokenizer.ggml.merges": Entry([f"{left} {right}" for left, right in merges], kinds.ARRAY),
        "tokenizer.ggml.bos_token_id": Entry(tokens.index("<|endoftext|>"), kinds.UINT32),
        "tokenizer.ggml.padding_token_id": Entry(tokens.index("<|endoftext|>"), kinds.UINT32),
        _EOS: Entry(tokens.index("<|im_end|>"), kinds.UINT32),
        "tokenizer.ggml.add_bos_token": Entry(value=False, kind=kinds.BOOL),
        _TEMPLATE: Entry(template, kinds.STRING),
    }
    return Vocabulary(entries)


def borrow_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary of a GGUF file.

    Raises:
        ModelError: It can't be read, or has none.
    """
    kinds = gguf.GGUFValueType
    entries = {_TEMPLATE: Entry(CHAT_TEMPLATE, kinds.STRING)}
    for key, field in read_fields(path).items():
        values = field.values()
        if not key.startswith("tokenizer.") or not values:
            continue
        if field.kind == kinds.ARRAY:
            entries[key] = Entry(values, kinds.ARRAY, kinds(field.item))
        else:
            entries[key] = Entry(values[0], kinds(field.kind))
    if _TOKENS not in entries:
        raise ModelError(f"{path} has no vocabulary to borrow; choose a language model's .gguf file")
    return Vocabulary(entries)


def byte_alphabet() -> list[str]:
    """Return the 256 characters that byte-level BPE writes bytes with: the visible ones, then the rest."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in visible] + [chr(0x100 + index) for index in range(256 - len(visible))]


def _words() -> Iterator[str]:
    seen = set(WORDS)
    yield from WORDS
    for count in itertools.count(1):
        for syllables in itertools.product(_SYLLABLES, repeat=count):
            word = "".join(syllables)
            if word not in seen:
                seen.add(word)
                yield word
