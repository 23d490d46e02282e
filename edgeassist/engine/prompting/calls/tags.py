r"""Calls as tags, with texts as they are: Qwen3-Coder, Qwen3.5, Nemotron 3. Sans-I/O.

<tool_call>\n<function=name>\n<parameter=key>\nvalue\n</parameter>\n</function>\n</tool_call>
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial

from edgeassist.engine.messages import Choice, ToolCall, Tools
from edgeassist.engine.prompting.calls.cursor import Cursor, Reading, call_of, text_of
from edgeassist.engine.prompting.calls.form import Unwritable, Writer
from edgeassist.engine.prompting.calls.lark import answer, chosen, either, members, quoted
from edgeassist.engine.prompting.calls.parameters import Spelling, parameters, spellings, text_part
from edgeassist.engine.prompting.calls.reading import CallParser
from edgeassist.engine.prompting.parser import AnswerParser

_CLOSING = "\n</parameter>"
_NAME = re.compile(r"[^<>\s][^<>\n]*")
_Spellings = dict[str, dict[str, Spelling]]
# As templates write them that don't know JSON.
_WORDS = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True, slots=True)
class TagCalls:
    """Fulfils `Form`."""

    name: str
    opening: str = "<tool_call>"
    closing: str = "</tool_call>"

    @property
    def marks(self) -> tuple[str, ...]:
        """What may be control tokens (`Form.marks`)."""
        return (self.opening, self.closing)

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as text (`Form.write`)."""
        written = []
        for call in calls:
            values = {
                name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                for name, value in json.loads(call.arguments).items()
            }
            inside = "".join(f"<parameter={name}>\n{value}{_CLOSING}\n" for name, value in values.items())
            written.append(f"{self.opening}\n<function={call.name}>\n{inside}</function>\n{self.closing}")
        return "\n".join(written)

    def grammar(self, tools: Tools, writer: Writer) -> str:
        """Return the grammar of an answer (`Form.grammar`)."""
        start = answer(tools, writer, self.opening, "calls_body", between="\n")
        if tools.choice is Choice.NONE:
            return "\n".join(start)
        numbers = chosen(tools)
        call = either(f"call_{number}" for number in numbers)
        start.append(f'calls_body: "\\n<function=" ({call}) "</function>\\n" {writer.mark(self.closing)}')
        for number in numbers:
            start += _call_rules(tools, number, writer)
        return "\n".join(start)

    def parser(self, tools: Tools, rest: AnswerParser) -> AnswerParser:
        """Return what reads an answer (`Form.parser`)."""
        known = {tools.tools[at].name: spellings(tools.tools[at]) for at in chosen(tools)}
        return CallParser(
            (self.opening,), partial(self._read, known), rest, sure=tools.choice is Choice.REQUIRED
        )

    def _read(self, known: _Spellings, cursor: Cursor) -> Reading:
        yield from cursor.take(self.opening.encode())
        yield from cursor.spaces()
        yield from cursor.take(b"<function=")
        name = text_of((yield from cursor.until(b">")))
        spelled = known.get(name, {})
        written = []
        while True:
            yield from cursor.spaces()
            if (yield from cursor.take(b"<parameter=", b"</function>")) == b"</function>":
                break
            key = text_of((yield from cursor.until(b">")))
            value = yield from _value(cursor, spelled.get(key, Spelling.JSON))
            written.append(f"{json.dumps(key, ensure_ascii=False)}: {value}")
        yield from cursor.spaces()
        yield from cursor.take(self.closing.encode())
        yield call_of(name, "{" + ", ".join(written) + "}")


def _value(cursor: Cursor, spelling: Spelling) -> Generator[None, None, str]:
    """Return a parameter's value as JSON."""
    yield from cursor.take(b"\n")
    text = text_of((yield from cursor.until(_CLOSING.encode())))
    if spelling is Spelling.JSON:
        return _WORDS.get(text, text)
    if spelling is Spelling.NULLABLE and text in {"null", "None"}:
        return "null"
    return json.dumps(text, ensure_ascii=False)


def _call_rules(tools: Tools, number: int, writer: Writer) -> list[str]:
    schema = writer.arguments(number)
    known = spellings(tools.tools[number])
    rules, each = [], []
    for at, (name, part, needed) in enumerate(parameters(schema, _NAME)):
        value, member = f"value_{number}_{at}", f"member_{number}_{at}"
        opening = quoted(f"<parameter={name}>\n")
        rules.append(f'{member}: {opening} {value} "\\n"')
        match known.get(name, Spelling.JSON):
            case Spelling.JSON:
                words = ' | "True" | "False"' if part == {"type": "boolean"} else ""
                rules.append(f"{value}: ({value}_json{words}) {quoted(_CLOSING)}")
                rules.append(f"{value}_json: {writer.json(part, schema)}")
            case spelling:
                null = f" | {quoted('null' + _CLOSING)}" if spelling is Spelling.NULLABLE else ""
                rules.append(f"{value}: {value}_text{null}")
                try:
                    rules += writer.text(f"{value}_text", text_part(part), _CLOSING)
                except Unwritable as unwritable:
                    raise Unwritable(unwritable.reason, "properties", name) from None
        each.append((member, needed))
    head = quoted(f"{tools.tools[number].name}>\n")
    return [f"call_{number}: {head} members_{number}", *members(f"members_{number}", each, ""), *rules]
