"""Tools, forms and a vocabulary for tests of tool calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
from tokenizers import Tokenizer

import edgeassist
from edgeassist.engine.backends.ortgenai.pieces import read_pieces
from edgeassist.engine.constraints import LazyCompiler, make_compiler
from edgeassist.engine.constraints.bound import Bound
from edgeassist.engine.messages import DeltaKind, Tool, ToolCall, Tools
from edgeassist.engine.prompting.calls import finding
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.calls.jsons import JsonCalls
from edgeassist.engine.prompting.parser import AnswerParser, Part, TextParser

FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        finding.OURS,
        finding.QWEN_3_CODER,
        finding.GEMMA_4,
        finding.FUNCTION_GEMMA,
        finding.LFM_2,
        finding.LLAMA_3,
        finding.MISTRAL_11,
        finding.MISTRAL_LIST,
        finding.GRANITE_3,
        finding.PHI_4_MINI,
        JsonCalls("tool_calls", "<tool_calls>", "</tool_calls>", listed=True, ids=True),
    )
}
LIGHT = Tool(
    "set_light",
    "Sets a light.",
    json.dumps(
        {
            "type": "object",
            "properties": {
                "room": {"type": "string", "maxLength": 12},
                "mode": {"enum": ["day", "night"]},
                "level": {"type": "integer", "minimum": 0, "maximum": 100},
                "on": {"type": "boolean"},
                "note": {"type": ["string", "null"], "maxLength": 8},
                "colours": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 2},
                "where": {
                    "type": "object",
                    "properties": {"x": {"type": "number"}, "y": {"type": "boolean"}},
                    "required": ["x"],
                },
            },
            "required": ["room", "level"],
        }
    ),
)
TIME = Tool("get-time_2", "Tells the time.")
TOOLS = Tools((LIGHT, TIME))

_FILE = Path(edgeassist.__file__).parent / "assets/tiny/edgeassist-tiny-onnx/tokenizer.json"
PIECES = read_pieces(_FILE).of_text
READ = Tokenizer.from_file(str(_FILE))
END = int(READ.token_to_id("<|im_end|>") or 0)
_LONGEST = 100
# What brings an answer to its end: closing characters, and marks.
_CLOSING = np.array(
    [END, *(id_ for id_, piece in enumerate(PIECES) if piece[:1] in b'"}])<\n,'), *range(len(PIECES), 9999)]
)


def ids_of(text: str) -> list[int]:
    return list(READ.encode(text, add_special_tokens=False).ids)


def marks_of(form: Form) -> dict[str, int]:
    """Return ids for a form's marks behind the vocabulary."""
    return {mark: len(PIECES) + at for at, mark in enumerate(form.marks)}


def compiler(form: Form, *, control: bool) -> LazyCompiler:
    """Return what compiles for a vocabulary in which the form's marks are control tokens, or not."""
    return _compiler(tuple(form.marks) if control else ())


@cache  # making one takes longer than most tests
def _compiler(control: tuple[str, ...]) -> LazyCompiler:
    marks = {mark: len(PIECES) + at for at, mark in enumerate(control)}
    pieces = [*PIECES, *(b"" for _ in marks)]
    made = make_compiler(lambda: pieces, len(pieces), [END], ids_of, marks)
    assert made is not None
    return made


def tokens_of(form: Form, text: str, *, control: bool) -> list[int]:
    """Return the tokens that a model would write for an answer."""
    ids: list[int] = []
    marks = marks_of(form) if control else {}
    while text:
        found = min((at, mark) for mark in (*marks, "\0") if (at := (text + "\0").find(mark)) >= 0)
        at, mark = found
        ids += ids_of(text[:at])
        ids += [marks[mark]] if mark != "\0" else []
        text = text[at + len(mark) :]
    return ids


def allows(bound: Bound, tokens: Sequence[int]) -> bool:
    """Return whether an answer may be just these tokens."""
    for token in tokens:
        if not bound.allows(token):
            return False
        bound.accept(token)
    return bound.problem is None and (bound.allows(END) or [token.ends for token in bound.forced()] == [True])


def walk(bound: Bound, random: Random, said: Sequence[int] = ()) -> bytes | None:
    """Return the bytes of an answer of tokens that are as likely as one another; None: it came to no end.

    Args:
        bound: At its beginning.
        random: Picks them; a long answer prefers what closes.
        said: The tokens that it begins with.
    """
    answer = bytearray()
    for id_ in said:
        assert bound.allows(id_)
        bound.accept(id_)
        answer += bound._vocabulary.token(id_).piece
    size = bound._vocabulary.size
    closing = _CLOSING[size > _CLOSING]
    for count in range(4 * _LONGEST):
        for token in bound.forced():
            if token.ends:
                return bytes(answer)
            answer += token.piece
        logits = np.zeros(size, np.float32)
        bound.limit(logits)
        assert bound.problem is None, bound.problem
        allowed = np.isfinite(logits)
        assert allowed.any(), f"nothing may follow {bytes(answer)!r}"
        ending = closing[allowed[closing]]
        late = len(ending) and count > _LONGEST * random.random()
        token_id = int(random.choice(ending if late else np.flatnonzero(allowed)))
        if token_id == END:
            return bytes(answer)
        bound.accept(token_id)
        answer += bound._vocabulary.token(token_id).piece
    return None


def parse(form: Form, pieces: Sequence[bytes], tools: Tools = TOOLS, stop: Sequence[str] = ()) -> list[Part]:
    """Return what is read of an answer; text in one part."""
    parser: AnswerParser = form.parser(tools, TextParser(stop))
    parts = [part for piece in pieces for part in parser.push(piece)] + parser.finish()
    joined: list[Part] = []
    for part in parts:
        assert part.text
        if joined and part.kind is DeltaKind.TEXT is joined[-1].kind:
            joined[-1] = Part(DeltaKind.TEXT, joined[-1].text + part.text)
        else:
            joined.append(part)
    return joined


def called(parts: Sequence[Part]) -> list[ToolCall]:
    return [
        msgspec.json.decode(part.text, type=ToolCall) for part in parts if part.kind is DeltaKind.TOOL_CALL
    ]


def told(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if part.kind is DeltaKind.TEXT)


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(name, json.dumps(arguments, ensure_ascii=False))
