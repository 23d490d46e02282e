"""How files spell tokens, and the bytes that these stand for."""

from __future__ import annotations

import pytest

from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.models.files.gguf_vocabulary import FileVocabulary, Texts, TokenType

pytestmark = pytest.mark.llama

TEXT, CONTROL, BYTE = TokenType.NORMAL, TokenType.CONTROL, TokenType.BYTE


def pieces(scheme: str, *tokens: tuple[str, TokenType]) -> list[bytes] | None:
    vocabulary = FileVocabulary(
        scheme, Texts.of(text.encode() for text, _ in tokens), [kind for _, kind in tokens]
    )
    found = Spelling(vocabulary).pieces()
    return None if found is None else list(found)


def test_byte_pairs_are_spelled_with_a_character_for_each_byte() -> None:
    # As in GPT-2's vocabulary: what can't be printed has the characters from 256 on.
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    characters = {byte: chr(byte) for byte in own} | {byte: chr(256 + at) for at, byte in enumerate(others)}
    every = "".join(characters[byte] for byte in range(256))
    assert pieces("gpt2", (every, TEXT), ("Ġthe", TEXT), ("", TEXT), ("<|im_end|>", CONTROL)) == [
        bytes(range(256)),
        b" the",
        b"",
        b"<|im_end|>",
    ]


def test_sentencepiece_spells_spaces_and_single_bytes() -> None:
    assert pieces("llama", ("▁the▁", TEXT), ("<0x3E>", BYTE), ("é", TEXT), ("</s>", CONTROL)) == [
        b" the ",
        b">",
        "é".encode(),
        b"</s>",
    ]


def test_another_scheme_is_left_to_llama_cpp() -> None:
    assert pieces("rwkv", ("the", TEXT)) is None


def test_tokens_that_llama_cpp_may_take_for_control_tokens_are_notable() -> None:
    tokens = [b"the", b"<|im_end|>", b"_<EOT>", b"[EOS]", b"[e~[", b"x", b""]
    types = [TEXT, CONTROL, TEXT, TEXT, TEXT, TokenType.USER_DEFINED, TEXT]
    assert list(Spelling(FileVocabulary("gpt2", Texts.of(tokens), types)).notable) == [1, 2, 3, 4, 5]
