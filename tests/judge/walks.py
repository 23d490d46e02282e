"""Answers as a model of no sense would give them: tokens drawn at random from those that a grammar allows."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from random import Random

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from edgeassist.engine.constraints.compiler import LIMITS

_TEXTS = [
    *(
        '{"',
        '":',
        '","',
        '"}',
        "},{",
        "[[",
        "]]",
        "],",
        "true",
        "null",
        "false",
        "00",
        "123",
        "-1",
        ".5",
        "e1",
    ),
    *(
        "ab",
        "a.b",
        "-0",
        " a",
        "2024-02-29",
        "é",
        "日本",
        "😀",
        '\\"',
        "\\\\",
        "\\n",
        "\\u0061",
        "\r\n",
        "\u2028",
    ),
]
# All bytes, and what makes a token's edge fall elsewhere than a lexeme's.
_PIECES = [*(bytes([byte]) for byte in range(256)), *(text.encode() for text in _TEXTS)]
_END = len(_PIECES)
# What brings an answer to its end, once it is long.
_CLOSING = np.array([*sorted(b'"}],:'), _END])


class _Bytes:
    eos_token_id = _END
    bos_token_id = None
    tokens = (*_PIECES, b"<end>")
    special_token_ids = (_END,)

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


TABLE = LLTokenizer(TokenizerWrapper(_Bytes()))


class Outcome(Enum):
    ENDED = auto()
    TOO_LONG = auto()
    STUCK = auto()


def matcher(grammar: str) -> LLMatcher:
    """Return a matcher at the grammar's beginning; it may have an error."""
    return LLMatcher(TABLE, grammar, log_level=0, limits=LIMITS)


def allows(grammar: str, answer: bytes) -> bool:
    """Return whether an answer may be just this."""
    matched = matcher(grammar)
    assert not matched.is_error(), matched.get_error()
    tokens = list(answer)
    if matched.validate_tokens(tokens) < len(tokens):
        return False
    matched.consume_tokens(tokens)
    return bool(matched.is_accepting())


def walk(matched: LLMatcher, random: Random, *, longest: int = 120) -> tuple[Outcome, bytes]:
    """Return an answer of tokens that are as likely as one another; a long one prefers what closes."""
    assert not matched.is_error(), matched.get_error()
    answer = bytearray()
    while len(answer) < 4 * longest:
        mask = np.frombuffer(matched.compute_bitmask(), np.uint8)
        bits = np.unpackbits(mask, bitorder="little").astype(bool)
        allowed = bits.nonzero()[0]
        if not len(allowed):
            return Outcome.STUCK, bytes(answer)
        closing = _CLOSING[bits[_CLOSING]]
        token = int(
            random.choice(closing if len(closing) and len(answer) > longest * random.random() else allowed)
        )
        if token == _END:
            assert matched.is_accepting(), f"it ends in the middle: {bytes(answer)!r}"
            assert not matched.is_error(), matched.get_error()
            return Outcome.ENDED, bytes(answer)
        assert matched.consume_token(token), matched.get_error()
        answer += _PIECES[token]
    return Outcome.TOO_LONG, bytes(answer)


def walks(grammar: str, count: int, seed: object) -> Iterator[bytes]:
    """Yield the answers of that many walks, but for those that came to no end."""
    random = Random(repr(seed))  # noqa: S311 - tests repeat
    # Its table grows with each, up to llguidance's limits, of which it would complain.
    matched = matcher(grammar)
    for _ in range(count):
        outcome, answer = walk(matched, random)
        matched.reset()
        assert outcome is not Outcome.STUCK, f"nothing may follow {answer!r}"
        if outcome is Outcome.ENDED:
            yield answer
