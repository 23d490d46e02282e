#!/usr/bin/env bash
# llguidance: in a mask, control tokens that were given without bytes are one token; checked one by one, they are not.
#
# Seen with llguidance 1.9.1, on Python 3.11.
#
# A vocabulary has two control tokens. A grammar wants the first, a text, and the second behind it. Given with bytes of
# their own, only the second is in the mask behind the text. Given with none, as a library yields them that does not
# render control tokens, both are, although `validate_tokens` and `consume_token` go on telling them apart. So who masks
# logits may pick a token that is then refused.
#
# For us: edgeassist/engine/constraints/vocabulary.py gives each control token bytes of its own.
set -euo pipefail

seen='with bytes of their own: behind the text the mask has [258], and [258] may follow
without bytes: behind the text the mask has [257, 258], and [258] may follow'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check llguidance==1.9.1

cat >"$work/masks.py" <<'PYTHON'
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

GRAMMAR = LLMatcher.grammar_from_lark("start: <[257]> TEXT <[258]>\nTEXT: /[ab]*/")


class Vocabulary:
    eos_token_id = 256
    bos_token_id = None
    special_token_ids = [256, 257, 258]

    def __init__(self, opening, closing):
        self.tokens = [*(bytes([byte]) for byte in range(256)), b"<end>", opening, closing]

    def __call__(self, text):
        return list(text)


for what, marks in {"with bytes of their own": (b"<open>", b"<close>"), "without bytes": (b"", b"")}.items():
    matcher = LLMatcher(LLTokenizer(TokenizerWrapper(Vocabulary(*marks))), GRAMMAR, log_level=0)
    for token in (257, ord("a")):
        assert matcher.consume_token(token)
    mask = matcher.compute_bitmask()
    masked = [token for token in (257, 258) if mask[token // 8] >> token % 8 & 1]
    may = [token for token in (257, 258) if matcher.validate_tokens([token]) == 1]
    print(f"{what}: behind the text the mask has {masked}, and {may} may follow")
PYTHON
timeout 60 "$work/venv/bin/python" "$work/masks.py" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
