#!/usr/bin/env bash
# onnxruntime-genai: TokenizerStream.decode loses letters after an unfinished UTF-8 character, and a NUL byte.
#
# Seen with onnxruntime-genai 0.18.0 and a byte-level BPE tokenizer of 257 tokens, which this script writes.
#
# With byte-level BPE (GPT-2, Llama 3, Qwen) a token may be part of a character. A model that samples may leave one
# unfinished and go on with something else; Python's decoder then puts U+FFFD in its place and keeps what follows.
# - TokenizerStream.decode waits for as many tokens as the first byte announces and drops them all, if they do not
#   fit: one to three letters after it are lost. No U+FFFD, no error. In JSON a quotation mark is lost.
# - Tokenizer.decode puts U+FFFD, and drops everything after it.
# - The token of a NUL byte is "" in the stream; Tokenizer.decode ends there.
#
# For us: an answer would lack letters, and structured output would be no JSON although each token was allowed. So
# edgeassist/engine/backends/ortgenai/pieces.py reads the tokens' bytes from tokenizer.json, and decodes them itself.
set -euo pipefail

seen="\
finished:            stream 'é, €, 😀'              decode 'é, €, 😀'     Python 'é, €, 😀'
1 of 2 bytes:        stream 'bc'                   decode '�'           Python '�abc'
1 of 3 bytes:        stream 'cd'                   decode '�'           Python '�abcd'
2 of 3 bytes:        stream 'bcd'                  decode '�'           Python '�abcd'
1 of 4 bytes:        stream 'de'                   decode '�'           Python '�abcde'
JSON, 2 of 3 bytes:  stream '{\"a\": \", \"b\": 1}'     decode '{\"a\": \"�'    Python '{\"a\": \"�\", \"b\": 1}'
NUL:                 stream 'ab'                   decode 'a'           Python 'a\\x00b'"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 600 "$work/venv/bin/pip" install -q --disable-pip-version-check onnxruntime-genai==0.18.0

cat >"$work/decode.py" <<'PYTHON'
import json, os, sys
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime_genai as genai

folder = Path(sys.argv[1])
# How GPT-2 writes bytes as characters; here the token id is the byte.
shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
hidden = [byte for byte in range(256) if byte not in shown]
vocabulary = {chr(byte if byte in shown else 256 + hidden.index(byte)): byte for byte in range(256)}
end = {"id": 256, "content": "<|end|>", "special": True,
       **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)}
level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
files = {
    "tokenizer.json": {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [end], "normalizer": None,
        "pre_tokenizer": level, "post_processor": level, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
                  "vocab": vocabulary | {"<|end|>": 256}, "merges": []}},
    "tokenizer_config.json": {
        "tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": False, "bos_token": None, "eos_token": "<|end|>",
        "pad_token": "<|end|>", "unk_token": None, "clean_up_tokenization_spaces": False, "errors": "replace",
        "model_max_length": 1024},
    "genai_config.json": {
        "model": {"type": "qwen2", "bos_token_id": 256, "eos_token_id": [256], "pad_token_id": 256,
                  "context_length": 1024, "vocab_size": 257, "decoder": {
                      "session_options": {}, "filename": "model.onnx", "hidden_size": 64, "head_size": 64,
                      "num_attention_heads": 1, "num_hidden_layers": 1, "num_key_value_heads": 1}},
        "search": {"max_length": 1024}}}
for name, document in files.items():
    (folder / name).write_text(json.dumps(document))
tokenizer = genai.Tokenizer(str(folder))
for label, text in {
    "finished": "é, €, 😀".encode(),
    "1 of 2 bytes": b"\xc3abc",
    "1 of 3 bytes": b"\xe2abcd",
    "2 of 3 bytes": b"\xe2\x82abcd",
    "1 of 4 bytes": b"\xf0abcde",
    "JSON, 2 of 3 bytes": b'{"a": "\xe2\x82", "b": 1}',
    "NUL": b"a\0b",
}.items():
    stream = tokenizer.create_stream()
    streamed = "".join(stream.decode(token) for token in text)
    print(f"{label + ':':20} stream {streamed!r:22} decode {tokenizer.decode(list(text))!r:13}"
          f" Python {text.decode(errors='replace')!r}")
PYTHON
mkdir "$work/model"
PYTHONUTF8=1 timeout 60 "$work/venv/bin/python" "$work/decode.py" "$work/model" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
