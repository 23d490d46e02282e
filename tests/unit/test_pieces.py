"""The bytes of an ONNX model's tokens, as its tokenizer's file has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeassist.engine.backends.ortgenai.pieces import read_pieces
from edgeassist.engine.prompting.text import TextStream
from edgeassist.errors import ModelError
from edgeassist.models.builtin import TINY, builtin_forms

BYTE_LEVEL = {"decoder": {"type": "ByteLevel"}}
SENTENCE_PIECE = {
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace"}, {"type": "ByteFallback"}]}
}
ADDED = [
    {"id": 4, "content": "<|end|>", "special": True},
    {"id": 6, "content": "<think>é", "special": False},
]


def write(folder: Path, vocab: Any, **parts: Any) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "BPE", "vocab": vocab, "merges": [["a", "b"]]}, **parts}))
    return path


def said(path: Path, *tokens: int) -> str:
    """Return what an answer of these tokens reads as."""
    pieces, stream = read_pieces(path), TextStream()
    return "".join(stream.push(pieces[token]) for token in tokens) + stream.finish()


@pytest.mark.parametrize("where", ["decoder", "pre_tokenizer"])
def test_byte_level_tokens_are_the_bytes_that_their_characters_stand_for(tmp_path: Path, where: str) -> None:
    parts = {where: {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]}}
    pieces = read_pieces(write(tmp_path, {"ĠHi": 0, "Ċ": 1, "ä½": 2, "ł": 3}, **parts))
    assert [pieces[token] for token in range(4)] == [b" Hi", b"\n", b"\xe4\xbd", b"\xa0"]


def test_pieces_of_sentence_piece_have_spaces_and_lone_bytes(tmp_path: Path) -> None:
    vocab = {"▁Hi": 0, "▁▁": 1, "<0xE4>": 2, "<0x00>": 3, "é": 4}
    pieces = read_pieces(write(tmp_path, vocab, **SENTENCE_PIECE))
    assert [pieces[token] for token in range(5)] == [b" Hi", b"  ", b"\xe4", b"\x00", "é".encode()]


def test_a_unigram_vocabulary_is_a_list_in_the_order_of_its_ids(tmp_path: Path) -> None:
    pieces = read_pieces(write(tmp_path, [["<unk>", 0.0], ["▁Hi", -1.5]], **SENTENCE_PIECE))
    assert pieces[1] == b" Hi"


def test_special_tokens_say_nothing_and_others_that_were_added_their_text(tmp_path: Path) -> None:
    path = write(tmp_path, {"a": 0, "<|end|>": 4}, added_tokens=ADDED, **BYTE_LEVEL)
    assert (read_pieces(path)[4], read_pieces(path)[6]) == (b"", "<think>é".encode())


@pytest.mark.parametrize("token", [-1, 5, 7, 1 << 40])
def test_an_id_that_the_vocabulary_lacks_says_nothing(tmp_path: Path, token: int) -> None:
    assert read_pieces(write(tmp_path, {"a": 0}, added_tokens=ADDED, **BYTE_LEVEL))[token] == b""


def test_letters_after_an_unfinished_character_stay(tmp_path: Path) -> None:
    path = write(tmp_path, {"<0xE4>": 0, "<0xBD>": 1, "<0xA0>": 2, '"': 3, "a": 4, "}": 5}, **SENTENCE_PIECE)
    assert said(path, 0, 3, 4, 5) == '\N{REPLACEMENT CHARACTER}"a}'
    assert said(path, 0, 1, 4) == "\N{REPLACEMENT CHARACTER}a"
    assert said(path, 4, 0, 1, 2, 5) == "a你}"


def test_the_built_in_model_has_a_piece_for_every_byte() -> None:
    pieces = read_pieces(builtin_forms(TINY)["onnx"] / "tokenizer.json")
    alone = {pieces[token] for token in range(len(pieces)) if len(pieces[token]) == 1}
    assert alone == {bytes([byte]) for byte in range(256)}


@pytest.mark.parametrize(
    "text", [b"{", b'{"model": {}}', b'{"model": {"vocab": {"a": 99999999999}}}', b'{"model": "\xff"}']
)
def test_what_is_no_tokenizer_is_told(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(text)
    with pytest.raises(ModelError, match="get the tokenizer's files again"):
        read_pieces(path)


@pytest.mark.parametrize("inner", [5, "ByteLevel", {"type": "ByteLevel"}, None])
def test_parts_that_are_no_list_are_none(tmp_path: Path, inner: object) -> None:
    path = write(tmp_path, {"▁a": 0}, decoder={"type": "Sequence", "decoders": inner})
    assert said(path, 0) == " a"


def test_a_control_token_that_is_shown_is_no_text_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    added = [
        {"id": 1, "content": "<think>", "special": True},
        {"id": 2, "content": "<tool>", "special": False},
    ]
    path.write_text(json.dumps({"model": {"vocab": {"a": 0}}, "added_tokens": added}))
    pieces = read_pieces(path, {"<think>"})
    assert [pieces[token] for token in range(3)] == [b"a", b"<think>", b"<tool>"]
    assert pieces.of_text == [b"a", b"", b"<tool>"]
    assert pieces.marks == {"<think>": 1}


def test_a_mark_that_the_file_calls_text_is_no_text_either(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    added = [{"id": 1, "content": "<tool_call>", "special": False}]
    path.write_text(json.dumps({"model": {"vocab": {"a": 0}}, "added_tokens": added}))
    pieces = read_pieces(path, {"<tool_call>"})
    assert pieces[1] == b"<tool_call>"
    assert pieces.of_text == [b"a", b""]
    assert pieces.marks == {"<tool_call>": 1}
