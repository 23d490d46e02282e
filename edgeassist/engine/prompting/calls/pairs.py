"""Calls as names and values without quotes, texts between marks: Gemma 4, FunctionGemma. Sans-I/O.

<|tool_call>call:name{key:<|"|>text<|"|>,other:1}<tool_call|>
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeassist.engine.messages import Choice, ToolCall, Tools
from edgeassist.engine.prompting.calls.cursor import Cursor, Reading, call_of, text_of
from edgeassist.engine.prompting.calls.form import Schema, Unwritable, Writer
from edgeassist.engine.prompting.calls.lark import answer, chosen, either, members, quoted
from edgeassist.engine.prompting.calls.parameters import NOT_HERE, NOTHING, literals, parameters
from edgeassist.engine.prompting.calls.reading import CallParser
from edgeassist.engine.prompting.parser import AnswerParser

_Node = Schema | bool
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS = {b"True": b"true", b"False": b"false", b"None": b"null"}
# A pattern beside a format stands in `allOf`.
_TEXTS = frozenset({"minLength", "maxLength", "pattern", "allOf"})
_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_LISTS = frozenset({"items", "minItems", "maxItems"})
_OBJECTS = frozenset({"properties", "required", "additionalProperties"})
_KEYS = {
    "string": _TEXTS,
    "number": _NUMBERS,
    "integer": _NUMBERS,
    "array": _LISTS,
    "object": _OBJECTS,
    "boolean": frozenset(),
    "null": frozenset(),
}


@dataclass(frozen=True, slots=True)
class PairCalls:
    """Fulfils `Form`. Members of objects are sorted, as the family's templates do.

    Attributes:
        opening: The mark before a call.
        closing: The mark behind it.
        quote: The mark around a text.
        result: The mark before a call's result, with which the model may end its turn.
    """

    name: str
    opening: str
    closing: str
    quote: str
    result: str

    @property
    def marks(self) -> tuple[str, ...]:
        """What may be control tokens (`Form.marks`)."""
        return (self.opening, self.closing, self.quote, self.result)

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as text (`Form.write`)."""
        return "".join(
            f"{self.opening}call:{call.name}{_written(json.loads(call.arguments), self.quote)}{self.closing}"
            for call in calls
        )

    def grammar(self, tools: Tools, writer: Writer) -> str:
        """Return the grammar of an answer (`Form.grammar`)."""
        start = answer(tools, writer, self.opening, "calls_body", between="", ends=(self.result,))
        if tools.choice is Choice.NONE:
            return "\n".join(start)
        numbers = chosen(tools)
        calls = either(f"call_{number}" for number in numbers)
        start.append(f'calls_body: "call:" ({calls}) {writer.mark(self.closing)}')
        for number in numbers:
            values = _Values(f"value_{number}", writer.arguments(number), writer, self.quote)
            rule = values.top()
            start += [f"call_{number}: {quoted(tools.tools[number].name)} {rule}", *values.rules]
        return "\n".join(start)

    def parser(self, tools: Tools, rest: AnswerParser) -> AnswerParser:
        """Return what reads an answer (`Form.parser`)."""
        return CallParser(
            (self.opening,), self._read, rest, sure=tools.choice is Choice.REQUIRED, ends=(self.result,)
        )

    def _read(self, cursor: Cursor) -> Reading:
        yield from cursor.take(self.opening.encode())
        yield from cursor.spaces()
        yield from cursor.take(b"call:")
        name = text_of((yield from cursor.word()))
        arguments = yield from self._value(cursor)
        yield from cursor.take(self.closing.encode())
        yield call_of(name, arguments)

    def _value(self, cursor: Cursor) -> Generator[None, None, str]:
        """Return a value as JSON."""
        quote = self.quote.encode()
        first = yield from cursor.spaces()
        if first == quote[:1]:
            yield from cursor.take(quote)
            return json.dumps(text_of((yield from cursor.until(quote))), ensure_ascii=False)
        if first not in {b"{", b"["}:
            word = yield from cursor.word()
            return text_of(_WORDS.get(word, word))
        written = []
        closing = b"}" if first == b"{" else b"]"
        yield from cursor.take(first)
        while (yield from cursor.spaces()) != closing:
            key = ""
            if first == b"{":
                key = json.dumps(text_of((yield from cursor.until(b":"))), ensure_ascii=False) + ": "
            value = yield from self._value(cursor)
            written.append(key + value)
            if (yield from cursor.spaces()) == b",":
                yield from cursor.take(b",")
        yield from cursor.take(closing)
        return f"{first.decode()}{', '.join(written)}{closing.decode()}"


def _written(value: Any, quote: str) -> str:
    match value:
        case str():
            return f"{quote}{value}{quote}"
        case dict():
            return "{" + ",".join(f"{key}:{_written(value[key], quote)}" for key in _sorted(value)) + "}"
        case list():
            return "[" + ",".join(_written(each, quote) for each in value) + "]"
        case _:
            return json.dumps(value)


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=str.lower)


@dataclass(slots=True)
class _Values:
    """The rules of one tool's values.

    Attributes:
        prefix: Their names begin with it.
        root: The schema of all arguments.
        rules: Those that were written.
    """

    prefix: str
    root: Schema
    writer: Writer
    quote: str
    rules: list[str] = field(default_factory=list)
    referred: dict[str, str] = field(default_factory=dict)

    def top(self) -> str:
        """Return the name of the rule of all arguments."""
        list(parameters(self.root, _NAME))  # for what it refuses
        return self._object(self.root, ())

    def _new(self, body: str) -> str:
        name = f"{self.prefix}_{len(self.rules)}"
        self.rules.append(f"{name}: {body}")
        return name

    def _value(self, schema: _Node, place: tuple[str, ...]) -> str:
        """Return the name of the rule of a schema's values."""
        if isinstance(schema, bool) or not schema:
            if schema is False:
                raise Unwritable(NOTHING, *place)
            return self._new(
                f"{self._text({}, place)} | {self._json({'type': ['number', 'boolean', 'null']})}"
            )
        if "$ref" in schema and len(schema) == 1:
            return self._reference(schema["$ref"], place)
        for key in ("anyOf", "oneOf"):
            if key in schema and len(schema) == 1:
                several = [
                    self._value(each, (*place, key, str(at)))
                    for at, each in enumerate(schema[key])
                    if each is not False
                ]
                return self._new(either(several))
        if "enum" in schema or "const" in schema:
            return self._literals(schema, place)
        kinds = schema.get("type", [kind for kind, keys in _KEYS.items() if keys & schema.keys()][:1])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        known = {"type"}.union(*(_KEYS[kind] for kind in kinds))
        if other := next((key for key in schema if key not in known), None):
            raise Unwritable(f"'{other}' {NOT_HERE}", *place)
        return self._new(either(self._kind(kind, schema, place) for kind in kinds))

    def _kind(self, kind: str, schema: Schema, place: tuple[str, ...]) -> str:
        of_kind = {key: value for key, value in schema.items() if key in _KEYS[kind]}
        match kind:
            case "string":
                return self._text(of_kind, place)
            case "object":
                return self._object(of_kind, place)
            case "array":
                return self._list(of_kind, place)
            case _:
                return self._json({**of_kind, "type": kind})

    def _text(self, schema: Schema, place: tuple[str, ...]) -> str:
        text = f"{self.prefix}_{len(self.rules)}"
        try:
            self.rules += self.writer.text(text, {**schema, "type": "string"}, self.quote)
        except Unwritable as unwritable:
            raise Unwritable(unwritable.reason, *place) from None
        return self._new(f"{self.writer.mark(self.quote)} {text}")

    def _json(self, schema: Schema) -> str:
        return self._new(self.writer.json(schema, self.root))

    def _literals(self, schema: Schema, place: tuple[str, ...]) -> str:
        if other := next((key for key in schema if key not in {"type", "enum", "const"}), None):
            raise Unwritable(f"'{other}' beside 'enum' or 'const' {NOT_HERE}", *place)
        written = []
        for value in literals(schema):
            if isinstance(value, dict | list):
                raise Unwritable(f"a list or an object in 'enum' or 'const' {NOT_HERE}", *place)
            if isinstance(value, str):
                quote = self.writer.mark(self.quote)
                if self.quote not in value:
                    written.append(f"{quote} {quoted(value)} {quote}")
            else:
                written.append(quoted(json.dumps(value)))
        if not written:
            raise Unwritable(NOTHING, *place)
        return self._new(either(written))

    def _object(self, schema: Schema, place: tuple[str, ...]) -> str:
        if not schema.get("properties") and not schema.get("required"):
            return self._map(schema, place)
        try:
            each = {name: (part, needed) for name, part, needed in parameters(schema, _NAME)}
        except Unwritable as unwritable:
            raise Unwritable(unwritable.reason, *place, *unwritable.place) from None
        ruled = []
        for name in _sorted(each):
            part, needed = each[name]
            value = self._value(part, (*place, "properties", name))
            ruled.append((self._new(f"{quoted(name + ':')} {value}"), needed))
        inside = f"{self.prefix}_{len(self.rules)}"
        self.rules += members(inside, ruled, ",")
        return self._new(f'"{{" {inside} "}}"')

    def _map(self, schema: Schema, place: tuple[str, ...]) -> str:
        others = schema.get("additionalProperties", True)
        if others is False:
            return self._new('"{}"')
        value = self._value(others, (*place, "additionalProperties"))
        pair = f"/[A-Za-z_][A-Za-z0-9_]*:/ {value}"
        return self._new(f'"{{" ({pair} ("," {pair})*)? "}}"')

    def _list(self, schema: Schema, place: tuple[str, ...]) -> str:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if most == 0 or schema.get("items") is False:
            if least:
                raise Unwritable(NOTHING, *place)
            return self._new('"[]"')
        item = self._value(schema.get("items", True), (*place, "items"))
        upper = "" if most is None else str(most - 1)
        several = f'{item} ("," {item}){{{max(least - 1, 0)},{upper}}}'
        return self._new(f'"[" {several} "]"' if least else f'"[" ({several})? "]"')

    def _reference(self, to: str, place: tuple[str, ...]) -> str:
        if to not in self.referred:
            name = self.referred[to] = f"{self.prefix}_of_{len(self.referred)}"
            target: Mapping[str, Any] = self.root.get("$defs", {})
            found = target.get(to.removeprefix("#/$defs/"), True)
            self.rules.append(f"{name}: {self._value(found, place)}")
        return self.referred[to]
