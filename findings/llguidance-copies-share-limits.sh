#!/usr/bin/env bash
# llguidance: copies of a matcher share the table of its lexer, so what one has read counts against the limits of all.
#
# Seen with llguidance 1.9.1, on Python 3.11.
#
# `deep_copy` is the cheap way to a matcher for the next answer by the same grammar. With `max_lexer_states` at 1,000,
# every one of 64 texts of a's and b's passes the pattern with a matcher of its own. With copies of one, the first ones
# pass too; later ones fail, although each text alone needs few states.
#
# For us: edgeassist/engine/constraints/compiler.py compiles a grammar for each answer, and keeps none.
set -euo pipefail

seen='matchers of their own: 64 of 64 texts pass
copies of one: the first 8 pass, not all do
the limit is named: True'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check llguidance==1.9.1

cat >"$work/copies.py" <<'PYTHON'
import random

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper


class Bytes:
    eos_token_id = 256
    bos_token_id = None
    tokens = [*(bytes([byte]) for byte in range(256)), b"<end>"]
    special_token_ids = [256]

    def __call__(self, text):
        return list(text)


table = LLTokenizer(TokenizerWrapper(Bytes()))
grammar = LLMatcher.grammar_from_regex("[ab]*a[ab]{11}c")
limits = LLParserLimits(max_lexer_states=1000, verbose_errors=False)
draw = random.Random(1)
texts = ["".join(draw.choice("ab") for _ in range(40)) + "a" + "b" * 11 + "c" for _ in range(64)]


def passes(matcher, text):
    for byte in text.encode():
        matcher.compute_bitmask()
        if not matcher.consume_token(byte):
            return False
    return matcher.is_accepting()


def made():
    return LLMatcher(table, grammar, log_level=0, limits=limits)


own = sum(passes(made(), text) for text in texts)
print(f"matchers of their own: {own} of {len(texts)} texts pass")
one = made()
copies = [one.deep_copy() for _ in texts]
shared = [passes(copy, text) for copy, text in zip(copies, texts)]
print(f"copies of one: the first {'8 pass' if all(shared[:8]) else '8 do not all pass'}, {'all do' if all(shared) else 'not all do'}")
errors = {copy.get_error().split(chr(10))[0] for copy in copies if copy.is_error()}
print(f"the limit is named: {any('too many' in error for error in errors)}")
PYTHON
timeout 60 "$work/venv/bin/python" "$work/copies.py" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
