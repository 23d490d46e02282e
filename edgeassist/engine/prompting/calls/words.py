"""Calls as Python writes them: LFM2. Sans-I/O.

<|tool_call_start|>[name(key="text", other=1)]<|tool_call_end|>
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgeassist.engine.messages import Choice, ToolCall, Tools
from edgeassist.engine.prompting.calls.cursor import Cursor, Reading, call_of, text_of
from edgeassist.engine.prompting.calls.form import Schema, Writer
from edgeassist.engine.prompting.calls.lark import answer, chosen, either, members, quoted
from edgeassist.engine.prompting.calls.parameters import literals, parameters
from edgeassist.engine.prompting.calls.reading import CallParser
from edgeassist.engine.prompting.parser import AnswerParser

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FROM_PYTHON = {b"True": b"true", b"False": b"false", b"None": b"null"}
_OF_KINDS: dict[str, tuple[bool | None, ...]] = {"boolean": (True, False), "null": (None,)}
# Beside these it takes more to know.
_OTHERS = ("$ref", "allOf", "anyOf", "oneOf")
_TO_PYTHON = {"true": "True", "false": "False", "null": "None"}


@dataclass(frozen=True, slots=True)
class KeywordCalls:
    """Fulfils `Form`. Lists and objects are written as JSON, as the family's templates write objects."""

    name: str
    opening: str
    closing: str

    @property
    def marks(self) -> tuple[str, ...]:
        """What may be control tokens (`Form.marks`)."""
        return (self.opening, self.closing)

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as text (`Form.write`)."""
        written = []
        for call in calls:
            values = {
                name: json.dumps(value, ensure_ascii=False)
                for name, value in json.loads(call.arguments).items()
            }
            inside = ", ".join(f"{name}={_TO_PYTHON.get(value, value)}" for name, value in values.items())
            written.append(f"{call.name}({inside})")
        return f"{self.opening}[{', '.join(written)}]{self.closing}"

    def grammar(self, tools: Tools, writer: Writer) -> str:
        """Return the grammar of an answer (`Form.grammar`)."""
        start = answer(tools, writer, self.opening, "calls_body")
        if tools.choice is Choice.NONE:
            return "\n".join(start)
        numbers = chosen(tools)
        call = f"({either(f'call_{number}' for number in numbers)})"
        more = f'(", " {call})*' if tools.parallel else ""
        start.append(f'calls_body: "[" {call} {more} "]" {writer.mark(self.closing)}')
        for number in numbers:
            start += _call_rules(tools, number, writer)
        return "\n".join(start)

    def parser(self, tools: Tools, rest: AnswerParser) -> AnswerParser:
        """Return what reads an answer (`Form.parser`)."""
        return CallParser((self.opening,), self._read, rest, sure=tools.choice is Choice.REQUIRED)

    def _read(self, cursor: Cursor) -> Reading:
        yield from cursor.take(self.opening.encode())
        yield from cursor.spaces()
        yield from cursor.take(b"[")
        while True:
            yield from cursor.spaces()
            name = text_of((yield from cursor.word()))
            yield from cursor.take(b"(")
            written = []
            while (yield from cursor.spaces()) != b")":
                key = text_of((yield from cursor.word()))
                yield from cursor.take(b"=")
                value = yield from cursor.json()
                written.append(f"{json.dumps(key)}: {text_of(_FROM_PYTHON.get(value, value))}")
                if (yield from cursor.spaces()) == b",":
                    yield from cursor.take(b",")
            yield from cursor.take(b")")
            yield call_of(name, "{" + ", ".join(written) + "}")
            yield from cursor.spaces()
            if (yield from cursor.take(b",", b"]")) == b"]":
                break
        yield from cursor.spaces()
        yield from cursor.take(self.closing.encode())


def _call_rules(tools: Tools, number: int, writer: Writer) -> list[str]:
    schema = writer.arguments(number)
    rules, each = [], []
    for at, (name, part, needed) in enumerate(parameters(schema, _NAME)):
        member = f"member_{number}_{at}"
        rules += _member_rules(member, name, part, writer, schema)
        each.append((member, needed))
    head = quoted(f"{tools.tools[number].name}(")
    call = f'call_{number}: {head} members_{number} ")"'
    return [call, *members(f"members_{number}", each, ", "), *rules]


def _member_rules(member: str, name: str, schema: Schema, writer: Writer, root: Schema) -> list[str]:
    words = sorted(_TO_PYTHON[json.dumps(value)] for value in _constants(schema))
    values = either([f"{member}_value", *map(quoted, words)])
    return [
        f"{member}: {quoted(f'{name}=')} ({values})",
        f"{member}_value: {writer.json(schema, root)}",
    ]


def _constants(schema: Schema) -> set[bool | None]:
    """Return those of true, false and null that a schema surely allows."""
    if schema.keys() == {"anyOf"}:
        return {value for each in schema["anyOf"] if isinstance(each, dict) for value in _constants(each)}
    if not schema.keys().isdisjoint(_OTHERS):
        return set()
    if "enum" in schema or "const" in schema:
        return {value for value in literals(schema) if value is None or isinstance(value, bool)}
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return {value for kind in kinds for value in _OF_KINDS.get(kind, ())}
