"""A byte-level BPE vocabulary as a Hugging Face tokenizer's files, which ONNX models have beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf

from edgeassist.trial_models.vocabulary import Vocabulary

_CONTROL = int(gguf.TokenType.CONTROL)
# How Qwen2's tokenizer cuts a text into words; merges never cross their borders.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_tokenizer(folder: Path, vocabulary: Vocabulary, *, context: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`.

    Args:
        folder: Where to.
        vocabulary: Byte-level BPE.
        context: Tokens that the model was made for.
    """
    value = {key.removeprefix("tokenizer."): entry.value for key, entry in vocabulary.entries.items()}
    tokens = value["ggml.tokens"]
    control = {
        number: _added(token)
        for number, (token, kind) in enumerate(zip(tokens, value["ggml.token_type"], strict=True))
        if kind == _CONTROL
    }
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    words = {"type": "Split", "pattern": {"Regex": _WORDS}, "behavior": "Isolated", "invert": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, **added} for number, added in control.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [words, level]},
        "post_processor": level,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            # With the control tokens: the tokenizers library counts on by itself for those that are not here.
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": value["ggml.merges"],
        },
    }
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_prefix_space": False,
        "added_tokens_decoder": {str(number): added for number, added in control.items()},
        "bos_token": None,
        "eos_token": tokens[value["ggml.eos_token_id"]],
        "pad_token": tokens[value["ggml.padding_token_id"]],
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "model_max_length": context,
        "split_special_tokens": False,
        "chat_template": value["chat_template"],
    }
    for name, document in (("tokenizer.json", tokenizer), ("tokenizer_config.json", config)):
        (folder / name).write_text(json.dumps(document, ensure_ascii=False, indent=1))


def _added(token: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"content": token, **flags, "special": True}
