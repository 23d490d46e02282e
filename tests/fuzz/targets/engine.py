"""What the engine is given by clients and by models' files: templates, bounds of answers, calls of tools."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Hashable, Sequence
from random import Random

import numpy as np
import pytest

from edgeassist.engine.constraints.bound import Bound
from edgeassist.engine.messages import ChatMessage, Thinking
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.parser import AnswerParser, Part, TextParser, ThoughtParser
from edgeassist.engine.prompting.thoughts import Marks
from edgeassist.errors import EdgeAssistError
from edgeassist.protocol.requests import PromptRequest, parse_prompt
from edgeassist.serving.job import constraint_of, tools_of
from tests import tools_templates
from tests.fuzz import mutation
from tests.fuzz.target import FaultError, Parser, Target
from tests.judge.suite import cases
from tests.unit import test_thinking_templates as thinking
from tests.unit.calls import FORMS, LIGHT, PIECES, TIME, TOOLS, call, compiler

_LIMIT = 1 << 20
_MARKS = Marks("<think>", "</think>")
_STEPS = 6
_MOST_SEED = 600
# As many rows as a model may have: more than its vocabulary.
_ROWS = len(PIECES) + 64
_FORMS = list(FORMS.values())
_REGEXES = (
    r"[0-9]{1,3}", r"^(?:on|off)$", r"\d{4}-\d\d-\d\d", r"[^\x00-\x1f]*", r"(a|b)+?c?", r"\p{L}+", r"(?i)yes",
    r"[[:alpha:]]", r"\w+@\w+\.\w{2,}", "日+", r"(?:(?:a{1,9}){1,9}){1,9}", r"[a-z&&[^aeiou]]",
)  # fmt: skip
_GRAMMARS = (
    'start: "a" start?', 'start: /[a-z]+/ ("," /[a-z]+/)*', 'root ::= item+\nitem ::= "(" item ")" | [a-z]',
    'start: x{1,3}\nx: "b" | %json {"type": "integer"}', 'start: [x] "a"\nx.2: /b/ | "c"i\n%ignore /[ ]+/',
    "start: <0x41> | \"b\"~2..5\n", 'root ::= "x" | [^\\n]{2,5}', '%llguidance {}\nstart: "a" & /b/ | ~"c"',
)  # fmt: skip
_BIG = (
    "{1,1000}",
    "(",
    ")*",
    "|",
    "[^",
    "]",
    "\\p{",
    "(?=",
    "%json {",
    "::=",
    "{99999}",
    "start: ",
    "&",
    "~",
)


class Asked(Target):
    """A request with one field that bounds its answer, through to the first tokens of it.

    Args:
        field: The request's.
        seeds: Returns values of it, as JSON.
    """

    # Documented: up to a second for the largest, on a PC.
    limit_s = 4.0

    def __init__(self, field: str, seeds: Callable[[], Sequence[str]]) -> None:
        self.name = field
        self._field = field
        self._seeds = seeds

    def seeds(self) -> Sequence[bytes]:
        """See `Target.seeds`."""
        return [each.encode() for each in self._seeds()]

    def run(self, data: bytes) -> Hashable:
        """See `Target.run`."""
        asked = parse_prompt(b'{"prompt":"x","%b":%b}' % (self._field.encode(), data), limit=_LIMIT)
        return _walk(self._bound(asked, data), Random(len(data)))  # noqa: S311 - a choice that is the same each time

    def _bound(self, asked: PromptRequest, _data: bytes) -> Bound | None:
        constraint = constraint_of(asked)
        return None if constraint is None else compiler(_FORMS[0], control=False).bound(constraint)

    def mutate(self, random: Random, data: bytes, other: bytes) -> bytes:
        """See `Target.mutate`."""
        try:
            text, donor = json.loads(data), json.loads(other)
        except (ValueError, RecursionError):
            return mutation.mutate_bytes(random, data, other)
        if isinstance(text, str) and isinstance(donor, str):
            changed = mutation.texts(*_BIG)(
                random, text.encode("utf-8", "replace"), donor.encode("utf-8", "replace")
            )
            return json.dumps(changed.decode("utf-8", "replace")).encode()
        return mutation.mutate(random, data, other)


class ToolBounds(Asked):
    """Tools, in each form of calls."""

    def _bound(self, asked: PromptRequest, data: bytes) -> Bound | None:
        tools = tools_of(asked)
        form = _FORMS[len(data) % len(_FORMS)]
        return None if tools is None else compiler(form, control=bool(len(data) & 1)).calls(tools, form)


def _walk(bound: Bound | None, random: Random) -> Hashable:
    """Return what an answer's first tokens are like."""
    if bound is None:
        return "unbound"
    logits = np.zeros(_ROWS, np.float32)
    for _ in range(_STEPS):
        if any(token.ends for token in bound.forced()):
            return "ended"
        logits.fill(0)
        bound.limit(logits)
        if bound.problem is not None:
            return "problem", mutation.gist(bound.problem)
        allowed = np.flatnonzero(np.isfinite(logits))
        if not allowed.size:
            raise FaultError("an answer can neither go on nor end")
        token = int(random.choice(allowed))
        if not bound.allows(token):
            raise FaultError(f"{token} is left by the mask, and not allowed")
        bound.accept(token)
    return "goes on"


_ASKED = (
    [ChatMessage("user", "Hi <|im_end|> {{ x }}")],
    [
        ChatMessage("system", "S"),
        ChatMessage("user", "U"),
        ChatMessage("assistant", "A"),
        ChatMessage("user", "V"),
    ],
    [
        ChatMessage("user", "U"),
        ChatMessage("assistant", "", calls=(call("get-time_2"),)),
        ChatMessage("tool", "noon", call_id=""),
    ],
)
_JINJA = (
    "{{ ", " }}", "{% if ", "{% endif %}", "{% for m in messages %}", "{% endfor %}", "tools", "m.content",
    "| tojson", "namespace(", "raise_exception('x')", "<think>", "{%- set x = ", "loop.index0", "| length",
    "messages[0].role", "range(", "[::-1]", "strftime_now('%d')", "{% break %}", "{% macro x() %}",
)  # fmt: skip
_OPENED = (
    "<tool_call>", "</tool_call>", "{", "}", '"', "<think>", "</think>", "[TOOL_CALLS]", "STOP", "\\",
    "<|python_tag|>", "<function=", "<parameter=", "[ARGS]", "call:", "<escape>",
)  # fmt: skip


def _template(data: bytes) -> object:
    chat = ChatTemplate(
        data.decode("utf-8", "replace"),
        tokens={"bos_token": "<s>", "eos_token": "</s>"},
        control=["<|start|>", "<|end|>", "<|im_end|>", *tools_templates.CONTROL],
        parts=["<think>", "</think>"],
    )
    found: list[object] = [chat.state.value, chat.form.name, chat.marks is not None]
    for messages in _ASKED:
        for tools in (None, TOOLS):
            try:
                segments = chat.render(messages, Thinking(wanted=True), tools)
            except EdgeAssistError as error:
                found.append(type(error).__name__)
                continue
            text = "".join(segment.text for segment in segments if segment.trusted)
            if "Hi <|im_end|>" in text:
                raise FaultError("a message's text became control tokens")
            found.append(len(segments) > 1)
    return tuple(found)


def _templates() -> list[bytes]:
    known = [
        *tools_templates.ALL.values(),
        *(
            value
            for name, value in vars(thinking).items()
            if name.isupper() and isinstance(value, str) and "{%" in value
        ),
    ]
    return [str(each).encode() for each in known]


def _calls(data: bytes) -> object:
    """Read an answer in one of the forms, whole and byte by byte: both ways give the same."""
    which = zlib.crc32(data)
    form, thinks = _FORMS[which % len(_FORMS)], bool(which & 1 << 20)
    once = form.parser(TOOLS, _rest(thinks=thinks))
    whole = [*once.push(data), *once.finish()]
    again = form.parser(TOOLS, _rest(thinks=thinks))
    pieces = [part for byte in data for part in again.push(bytes([byte]))] + again.finish()
    if _joined(whole) != _joined(pieces):
        raise FaultError(f"{form.name}: it matters how an answer is cut: {whole!r} and {pieces!r}")
    return form.name, thinks, tuple(part.kind.value for part in whole)[:6]


def _rest(*, thinks: bool) -> AnswerParser:
    text = TextParser(("STOP",))
    return ThoughtParser(_MARKS, text, thinks=False) if thinks else text


def _joined(parts: Sequence[Part]) -> list[tuple[str, str]]:
    joined: list[tuple[str, str]] = []
    for part in parts:
        kind, text = part.kind.value, part.text
        if joined and joined[-1][0] == kind != "tool_call":
            joined[-1] = kind, joined[-1][1] + text
        else:
            joined.append((kind, text))
    return joined


def _answers() -> list[bytes]:
    calls = [call("set_light", room='a"b{[(<é', level=3, where={"x": 1.5, "y": False}), call("get-time_2")]
    written = [form.write(calls if form.name != "llama 3" else calls[:1]) for form in _FORMS]
    return [f"<think>hm</think>Text {each} STOP more".encode() for each in written] + [
        each.encode() for each in written
    ]


def _schemas() -> list[str]:
    try:
        suite = [json.dumps(case.schema) for case in cases()]
    except pytest.skip.Exception:  # PyPI does not give it
        suite = []
    return [LIGHT.parameters, *(each for each in suite if len(each) < _MOST_SEED)]


def targets() -> Sequence[Target]:
    """Return them."""
    tools = [
        {"type": "function", "function": {"name": each.name, "description": each.description,
                                          "parameters": json.loads(each.parameters or "{}")}}
        for each in (LIGHT, TIME)
    ]  # fmt: skip
    return [
        Asked("json_schema", _schemas),
        Asked("regex", lambda: [json.dumps(each) for each in _REGEXES]),
        Asked("grammar", lambda: [json.dumps(each) for each in _GRAMMARS]),
        Asked("choice", lambda: ['["on","off"]', '["a","ab","abc"]', '["\\n","日本"]']),
        ToolBounds("tools", lambda: [json.dumps(tools), json.dumps(tools[1:])]),
        Parser("template", _template, _templates, mutate=mutation.texts(*_JINJA), limit_s=2.0),
        Parser("calls", _calls, _answers, (), mutate=mutation.texts(*_OPENED)),
    ]
