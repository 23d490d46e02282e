#!/usr/bin/env bash
# llguidance: its converter from llama.cpp's GBNF drops the zeros that an escape begins with, and the result is no Lark.
#
# Seen with llguidance 1.9.1, on Python 3.11.
#
# `gbnf_to_lark` makes "\ue9" of "\u00e9", which llguidance can't read: a lexer error in a line that the author of the
# grammar never wrote. "\u4e00" and "\x41" are right.
#
# For us: edgeassist/engine/constraints/grammars.py puts the characters themselves in place of such escapes before it
# converts.
set -euo pipefail

seen='root ::= "\u00e9": start: "\ue9": lexer error
root ::= "\u4e00": start: "\u4e00": read
root ::= "\x41": start: "\x41": read'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check llguidance==1.9.1

cat >"$work/grammars.py" <<'PYTHON'
from llguidance import LLMatcher
from llguidance.gbnf_to_lark import gbnf_to_lark

for gbnf in (r'root ::= "\u00e9"', r'root ::= "\u4e00"', r'root ::= "\x41"'):
    lark = gbnf_to_lark(gbnf)
    error = LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(lark))
    assert not error or "lexer error" in error, error
    print(f"{gbnf}: {lark.splitlines()[-1] or lark.splitlines()[-2]}: {'lexer error' if error else 'read'}")
PYTHON
timeout 60 "$work/venv/bin/python" "$work/grammars.py" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
