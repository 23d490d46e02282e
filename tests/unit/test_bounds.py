"""Bounds over the vocabulary of EdgeAssist Tiny, and over one that SentencePiece would make."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

import edgeassist
from edgeassist.engine.answer import Answer
from edgeassist.engine.backends.ortgenai.pieces import read_pieces
from edgeassist.engine.constraints import LazyCompiler, make_compiler
from edgeassist.engine.constraints.bound import Bound
from edgeassist.engine.following import follow
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.messages import Constraint, ConstraintKind
from edgeassist.engine.prompting.codec import Encoded
from edgeassist.engine.prompting.parser import TextParser
from edgeassist.engine.sequence import Sequence
from edgeassist.engine.step import Token

FILE = Path(edgeassist.__file__).parent / "assets/tiny/edgeassist-tiny-onnx/tokenizer.json"
PIECES = read_pieces(FILE).of_text
READ = Tokenizer.from_file(str(FILE))
END = int(READ.token_to_id("<|im_end|>") or 0)
SCHEMA = {
    "type": "object",
    "properties": {
        "action": {"enum": ["turn_on", "turn_off", "set"]},
        "room": {"type": "string", "maxLength": 40},
        "value": {"type": "integer", "minimum": 0, "maximum": 100},
    },
    "required": ["action", "room", "value"],
    "additionalProperties": False,
}


def ids_of(text: str) -> list[int]:
    return list(READ.encode(text, add_special_tokens=False).ids)


def compiler(pieces: list[bytes] = PIECES, tokenize: Callable[[str], list[int]] = ids_of) -> LazyCompiler:
    made = make_compiler(
        lambda: pieces, len(pieces), [END if pieces is PIECES else len(pieces) - 1], tokenize
    )
    assert made is not None
    return made


def bound(schema: Any = SCHEMA, *, by: LazyCompiler | None = None) -> Bound:
    constraint = Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(schema))
    return (by or compiler()).bound(constraint)


def allowed(bounds: Bound, size: int = len(PIECES)) -> set[int]:
    logits = np.zeros(size, np.float32)
    bounds.limit(logits)
    return set(np.flatnonzero(np.isfinite(logits)).tolist())


@pytest.mark.parametrize(
    "said",
    [
        '{"action":"turn_on","room":"kitchen","value":30}',
        '{"action":"set","room":"living room","value":100}',
        '{"action":"turn_off","room":"厨房","value":0}',
        '{"action":"set","room":"a \\"b\\" c","value":7}',
    ],
)
def test_what_is_forced_is_what_the_model_would_have_written(said: str) -> None:
    tokens = ids_of(said)
    bounds = bound()
    at = forced = 0
    while True:
        more = bounds.forced()
        ids = [token.id for token in more if not token.ends]
        assert ids == tokens[at : at + len(ids)]
        at, forced = at + len(ids), forced + len(ids)
        if more and more[-1].ends:
            break
        assert bounds.allows(tokens[at])
        assert tokens[at] in allowed(bounds)
        bounds.accept(tokens[at])
        at += 1
    assert at == len(tokens)
    assert forced >= len(tokens) // 4
    assert bounds.problem is None


def test_what_follows_from_the_mask_is_what_is_asked_for_one_token() -> None:
    bounds = bound()
    bounds.forced()
    some = allowed(bounds)
    assert 0 < len(some) < len(PIECES)
    assert all(bounds.allows(token) == (token in some) for token in range(len(PIECES)))


def test_no_control_token_and_no_row_beyond_the_vocabulary_is_ever_allowed() -> None:
    bounds = bound({"type": "string"})
    bounds.forced()
    rows = allowed(bounds, size=len(PIECES) + 64)
    assert rows
    assert all(PIECES[token] for token in rows)


def test_an_answer_that_may_end_here_may_end_with_the_models_own_token() -> None:
    bounds = compiler().bound(Constraint(ConstraintKind.REGEX, "[0-9]+"))
    assert not bounds.allows(END)
    bounds.accept(ids_of("7")[0])
    assert bounds.forced() == []
    assert bounds.allows(END)


def test_what_was_forced_can_be_taken_back() -> None:
    bounds = bound()
    first = bounds.forced()
    bounds.rewind(len(first))
    assert bounds.forced() == first


@pytest.mark.parametrize("last", [ids_of("x")[0], END], ids=["text", "end"])
def test_an_answer_that_went_out_of_its_bounds_is_lost_also_where_it_ends(last: int) -> None:
    bounds = bound()
    bounds.forced()
    bounds.accept(last)  # as where llguidance gave up, and nothing was limited
    sequence = Sequence("a", 0, [1, 2], PLAIN, prompt_tokens=2, limit=50)
    answer = Answer(sequence, Encoded("", [1, 2]), 0, TextParser(()), bounds, 0.0, 0.0, 0.0)
    following, lost = follow([answer], {0: [Token(last, b"", ends=last == END)]})
    assert (following, lost) == ({}, [answer])


# --- tokenizers ---------------------------------------------------------------------------------------------

LETTERS = [bytes([number]) for number in range(32, 127)] + [b"\n", b" room", b"room", b'{"', b""]


def sentence_piece(text: str) -> list[int]:
    """Write a space before every text, and take the longest pieces."""
    rest, ids = f" {text}".encode(), []
    while rest:
        piece = max((each for each in LETTERS if each and rest.startswith(each)), key=len)
        ids.append(LETTERS.index(piece))
        rest = rest[len(piece) :]
    return ids


def test_a_tokenizer_that_writes_a_space_before_a_text_is_asked_for_the_middle_of_one() -> None:
    bounds = bound(by=compiler(LETTERS, sentence_piece))
    assert b"".join(token.piece for token in bounds.forced()) == b'{"action":"'
    bounds = bound({"const": "roommate"}, by=compiler(LETTERS, sentence_piece))
    assert [token.piece for token in bounds.forced()][:3] == [b'"', b"room", b"m"]


@pytest.mark.parametrize("tokenize", [lambda _text: [7, 7], lambda text: [text.nothing]])
def test_a_tokenizer_that_fails_or_changes_the_text_forces_what_the_mask_allows(
    tokenize: Callable[[str], list[int]],
) -> None:
    bounds = bound({"const": "room"}, by=compiler(LETTERS, tokenize))
    assert b"".join(token.piece for token in bounds.forced()) == b'"room"'
    assert bounds.problem is None
