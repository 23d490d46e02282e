#!/usr/bin/env bash
# llguidance: to ask whether a token beyond the vocabulary may come next ends the matcher, as nothing else that is asked.
#
# Seen with llguidance 1.9.1, on Python 3.11.
#
# `validate_tokens` changes nothing: of a token that is not allowed it returns 0, and the matcher goes on. Of a token
# whose id is as large as the vocabulary, it returns 0 too, and the matcher is in its error state from then on. Models
# have such ids: many have more rows of logits than their tokenizer has tokens, since 151,936 is a rounder number than
# 151,665, and what is sampled may be one of these.
#
# For us: edgeassist/engine/constraints/bound.py compares the id with the vocabulary's size before it asks.
set -euo pipefail

seen='not allowed: 0, error: False, then "a": 1
beyond the vocabulary: 0, error: True, then "a": 0'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check llguidance==1.9.1

cat >"$work/strange.py" <<'PYTHON'
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper


class Bytes:
    eos_token_id = 256
    bos_token_id = None
    tokens = [*(bytes([byte]) for byte in range(256)), b"<end>"]
    special_token_ids = [256]

    def __call__(self, text):
        return list(text)


table = LLTokenizer(TokenizerWrapper(Bytes()))
for name, token in (("not allowed", ord("z")), ("beyond the vocabulary", 257)):
    matcher = LLMatcher(table, LLMatcher.grammar_from_regex("a+b"), log_level=0)
    asked = matcher.validate_tokens([token])
    print(f'{name}: {asked}, error: {matcher.is_error()}, then "a": {matcher.validate_tokens([ord("a")])}')
PYTHON
timeout 60 "$work/venv/bin/python" "$work/strange.py" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
