"""Calls as JSON objects between marks: Hermes and Qwen, Llama 3, Mistral, Granite, Phi-4-mini. Sans-I/O."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from edgeassist.engine.messages import Choice, ToolCall, Tools
from edgeassist.engine.prompting.calls.cursor import Cursor, GarbledError, Reading, call_of, text_of
from edgeassist.engine.prompting.calls.form import Writer
from edgeassist.engine.prompting.calls.lark import answer, chosen, either, pattern, quoted
from edgeassist.engine.prompting.calls.reading import CallParser
from edgeassist.engine.prompting.calls.unmarked import FENCE, Unmarked, beginning
from edgeassist.engine.prompting.parser import AnswerParser

# A call's id, as Mistral's models write it.
_ID = '", \\"id\\": \\"" /[A-Za-z0-9]{9}/ "\\""'


@dataclass(frozen=True, slots=True)
class JsonCalls:
    """Fulfils `Form`: `{"name": …, "arguments": …}`.

    Attributes:
        opening: The mark before a call, or before a list of calls.
        closing: The mark behind it; empty: none.
        key: What the arguments are called.
        inside: White space within the marks.
        between: White space between calls.
        listed: Whether the marks hold a list of calls.
        ids: Whether a call may have an id.
    """

    name: str
    opening: str
    closing: str = ""
    key: str = "arguments"
    inside: str = ""
    between: str = ""
    listed: bool = False
    ids: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """What may be control tokens (`Form.marks`)."""
        return tuple(mark for mark in (self.opening, self.closing) if mark)

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as text (`Form.write`)."""
        objects = [_written(call, self.key) for call in calls]
        bodies = [f"[{', '.join(objects)}]"] if self.listed else objects
        return self.between.join(
            f"{self.opening}{self.inside}{body}{self.inside if self.closing else ''}{self.closing}"
            for body in bodies
        )

    def grammar(self, tools: Tools, writer: Writer) -> str:
        """Return the grammar of an answer (`Form.grammar`)."""
        numbers = [] if tools.choice is Choice.NONE else chosen(tools)
        rules = _call_rules(numbers, tools, writer, self.key, f"({_ID})?" if self.ids else "")
        call = f"({either(f'call_{number}' for number in numbers)})"
        if self.listed:
            more = f'(", " {call})*' if tools.parallel else ""
            call = f'" "? "[" {call} {more} "]"'
        space = quoted(self.inside) if self.inside else ""
        end = f"{space} {writer.mark(self.closing)}" if self.closing else ""
        between = None if self.listed else self.between
        unmarked = None
        if names := _unmarked_names(tools):
            rules += _unmarked_rules(numbers, tools, self.key)
            unmarked = (beginning(names), "calls_unmarked")
        elif tools.choice is Choice.NONE:
            # A model that wants to call and may not would write the call as its words.
            unmarked = (beginning([tool.name for tool in tools.tools]), "")
        start = answer(tools, writer, self.opening, "calls_body", between=between, unmarked=unmarked)
        return "\n".join([*start, *([f"calls_body: {space} {call} {end}"] if numbers else []), *rules])

    def parser(self, tools: Tools, rest: AnswerParser) -> AnswerParser:
        """Return what reads an answer (`Form.parser`)."""
        names = _unmarked_names(tools)
        return CallParser(
            (self.opening,),
            self._read,
            rest,
            sure=tools.choice is Choice.REQUIRED,
            ends=(FENCE,) if names else (),
            unmarked=Unmarked(names) if names else None,
        )

    def _read(self, cursor: Cursor) -> Reading:
        if not cursor.rest.startswith(self.opening.encode()):
            yield from cursor.until(b"{")
            cursor.at -= 1
            yield (yield from _read_object(cursor, self.key))
            return
        yield from cursor.take(self.opening.encode())
        yield from cursor.spaces()
        if self.listed:
            yield from cursor.take(b"[")
        while True:
            call = yield from _read_object(cursor, self.key)
            if not self.listed:
                break
            yield call
            yield from cursor.spaces()
            if (yield from cursor.take(b",", b"]")) == b"]":
                break
        if self.closing:
            yield from cursor.spaces()
            yield from cursor.take(self.closing.encode())
        if not self.listed:
            yield call


@dataclass(frozen=True, slots=True)
class BareCall:
    """Fulfils `Form`: an answer that begins with an object is a call, one at most.

    Attributes:
        before: A mark that may stand before it.
    """

    name: str
    before: str
    key: str = "parameters"

    @property
    def marks(self) -> tuple[str, ...]:
        """What may be control tokens (`Form.marks`)."""
        return (self.before,)

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as text (`Form.write`)."""
        return "; ".join(_written(call, self.key) for call in calls)

    def grammar(self, tools: Tools, writer: Writer) -> str:
        """Return the grammar of an answer (`Form.grammar`)."""
        before = "|".join(map(pattern, ("{", self.before)))
        rules = [rf"CALLS_TEXT: /(?s:.*)/ & ~/[ \t\r\n]*(?:{before})(?s:.*)/"]
        if tools.choice is Choice.NONE:
            return "\n".join(["start: CALLS_TEXT", *rules])
        numbers = chosen(tools)
        rules += _call_rules(numbers, tools, writer, self.key, "")
        call = f"{writer.mark(self.before)}? ({either(f'call_{number}' for number in numbers)})"
        text = "" if tools.choice is Choice.REQUIRED else r"CALLS_TEXT | /[ \t\r\n]{0,8}/ "
        return "\n".join([f"start: {text}{call}", *rules])

    def parser(self, tools: Tools, rest: AnswerParser) -> AnswerParser:
        """Return what reads an answer (`Form.parser`)."""
        return CallParser(
            ("{", self.before), self._read, rest, sure=tools.choice is Choice.REQUIRED, first=True
        )

    def _read(self, cursor: Cursor) -> Reading:
        yield from cursor.spaces()
        before = self.before.encode()
        if (yield from cursor.take(b"{", before)) == before:
            yield from cursor.spaces()
        else:
            cursor.at -= 1
        yield (yield from _read_object(cursor, self.key))


@dataclass(frozen=True, slots=True)
class NamedCalls:
    """Fulfils `Form`: a mark, the tool's name, another mark, the arguments.

    Attributes:
        opening: Stands before the name.
        identity: Stands between the name and the call's id, where it has one.
        arguments: Stands before the arguments.
    """

    name: str
    opening: str
    identity: str
    arguments: str

    @property
    def marks(self) -> tuple[str, ...]:
        """What may be control tokens (`Form.marks`)."""
        return (self.opening, self.identity, self.arguments)

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as text (`Form.write`)."""
        return "".join(f"{self.opening}{call.name}{self.arguments}{call.arguments}" for call in calls)

    def grammar(self, tools: Tools, writer: Writer) -> str:
        """Return the grammar of an answer (`Form.grammar`)."""
        numbers = [] if tools.choice is Choice.NONE else chosen(tools)
        start = answer(tools, writer, self.opening, "calls_body", between="")
        rules = [f"calls_body: {either(f'call_{number}' for number in numbers)}"] if numbers else []
        identity = f"({writer.mark(self.identity)} /[A-Za-z0-9]{{9}}/)?"
        mark = writer.mark(self.arguments)
        for number in numbers:
            schema = writer.arguments(number)
            rules.append(
                f"call_{number}: {quoted(tools.tools[number].name)} {identity} {mark} arguments_{number}"
            )
            rules.append(f"arguments_{number}: {writer.json(schema, schema)}")
        return "\n".join([*start, *rules])

    def parser(self, tools: Tools, rest: AnswerParser) -> AnswerParser:
        """Return what reads an answer (`Form.parser`)."""
        return CallParser((self.opening,), self._read, rest, sure=tools.choice is Choice.REQUIRED)

    def _read(self, cursor: Cursor) -> Reading:
        yield from cursor.take(self.opening.encode())
        yield from cursor.spaces()
        name = yield from cursor.word()
        identity, arguments = self.identity.encode(), self.arguments.encode()
        if (yield from cursor.take(identity, arguments)) == identity:
            yield from cursor.word()
            yield from cursor.take(arguments)
        written = yield from cursor.json()
        yield call_of(text_of(name), text_of(written))


def _read_object(cursor: Cursor, key: str) -> Generator[None, None, ToolCall]:
    """Read an object with a name and arguments, in any order."""
    found: dict[str, bytes] = {}
    yield from cursor.spaces()
    yield from cursor.take(b"{")
    while True:
        name = yield from cursor.json()
        yield from cursor.spaces()
        yield from cursor.take(b":")
        found[text_of(name)] = yield from cursor.json()
        yield from cursor.spaces()
        if (yield from cursor.take(b",", b"}")) == b"}":
            break
    try:
        called = json.loads(found['"name"'])
        arguments = found[f'"{key}"']
    except (KeyError, ValueError):
        raise GarbledError from None
    if not isinstance(called, str):
        raise GarbledError
    return call_of(called, text_of(arguments))


def _unmarked_names(tools: Tools) -> list[str]:
    """Return which tools an answer may call without a mark: where it need not call, a model may write so."""
    return [tool.name for tool in tools.tools] if tools.choice is Choice.AUTO else []


def _unmarked_rules(numbers: Sequence[int], tools: Tools, key: str) -> list[str]:
    middle = quoted(f', "{key}": ')
    rules = []
    for number in numbers:
        rules.append(f'unmarked_{number}: UNMARKED_{number} {middle} arguments_{number} "}}"')
        rules.append(f"UNMARKED_{number}: /{beginning([tools.tools[number].name])}/")
    first = either(f"unmarked_{number}" for number in numbers)
    more = f'("\\n" ({either(f"call_{number}" for number in numbers)}))*' if tools.parallel else ""
    return [f'calls_unmarked: ({first}) {more} "\\n"? {quoted(FENCE)}?', *rules]


def _written(call: ToolCall, key: str) -> str:
    return f'{{"name": {json.dumps(call.name)}, "{key}": {call.arguments}}}'


def _call_rules(numbers: Sequence[int], tools: Tools, writer: Writer, key: str, behind: str) -> list[str]:
    rules = []
    for number in numbers:
        schema = writer.arguments(number)
        head = quoted(f'{{"name": {json.dumps(tools.tools[number].name)}, "{key}": ')
        rules.append(f'call_{number}: {head} arguments_{number} {behind} "}}"')
        rules.append(f"arguments_{number}: {writer.json(schema, schema)}")
    return rules
