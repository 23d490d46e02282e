#!/usr/bin/env bash
# llguidance: a JSON Schema's grammar allows answers that the schema does not.
#
# Seen with llguidance 1.9.1, on Python 3.11.
#
# - A name with an escape is another name to it: additionalProperties lets {"\u0061":"x"} in where property "a" is an
#   integer. It allows no other \u escape of a printable character. Without "u" in `json_allowed_escapes` it is refused.
# - What comes twice counts twice: {"a":1,"a":1} fulfils minProperties 2.
# - Numbers are doubles: const 9007199254740993 is answered with 9007199254740992, and with nothing else.
# - The format date has 29 February in every year.
# - `.` of a pattern is Rust's, which matches a carriage return; ECMA-262's does not.
#
# For us: none of these may be in an answer that is said to be valid. So llguidance gets no schema as clients write
# it: edgeassist/engine/constraints/schema.py leaves "u" out, `values` refuses such counts and numbers, `formats` has
# formats of our own, and `patterns` writes classes that all dialects agree on.
set -euo pipefail

seen='{"type":"object","properties":{"a":{"type":"integer"}}} allows {"\u0061":"x"}: True
the same without "u" in json_allowed_escapes: False
{"type":"object","minProperties":2} allows {"a":1,"a":1}: True
{"const":9007199254740993} allows 9007199254740993: False
{"const":9007199254740993} allows 9007199254740992: True
{"type":"string","format":"date"} allows "2023-02-29": True
{"type":"string","pattern":"^a.b$"} allows "a\rb": True'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check llguidance==1.9.1

cat >"$work/schemas.py" <<'PYTHON'
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

class Bytes:
    eos_token_id, bos_token_id, special_token_ids = 256, None, [256]
    tokens = [*(bytes([byte]) for byte in range(256)), b"<end>"]
    def __call__(self, text):
        return list(text if isinstance(text, bytes) else text.encode())

table = LLTokenizer(TokenizerWrapper(Bytes()))

def allows(schema, answer, **options):
    grammar = LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_flexible": False, **options})
    matcher = LLMatcher(table, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    tokens = list(answer.encode())
    if matcher.validate_tokens(tokens) < len(tokens):
        return False
    matcher.consume_tokens(tokens)
    return matcher.is_accepting()

named = '{"type":"object","properties":{"a":{"type":"integer"}}}'
escaped = r'{"\u0061":"x"}'
print(named, "allows", f"{escaped}:", allows(named, escaped))
print('the same without "u" in json_allowed_escapes:', allows(named, escaped, json_allowed_escapes='nrbtf\\"'))
for schema, answer in (
    ('{"type":"object","minProperties":2}', '{"a":1,"a":1}'),
    ('{"const":9007199254740993}', "9007199254740993"),
    ('{"const":9007199254740993}', "9007199254740992"),
    ('{"type":"string","format":"date"}', '"2023-02-29"'),
    ('{"type":"string","pattern":"^a.b$"}', r'"a\rb"'),
):
    print(schema, "allows", f"{answer}:", allows(schema, answer))
PYTHON
timeout 60 "$work/venv/bin/python" "$work/schemas.py" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
