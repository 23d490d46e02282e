"""What bounds an answer with tool calls, over the vocabulary of EdgeAssist Tiny and each form's marks."""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgeassist.engine.constraints.bound import Bound
from edgeassist.engine.messages import Choice, Constraint, ConstraintKind, Tool, ToolCall, Tools
from edgeassist.engine.prompting.calls import finding
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.calls.jsons import JsonCalls
from edgeassist.errors import InvalidRequestError
from tests.unit.calls import (
    FORMS,
    TIME,
    TOOLS,
    allows,
    call,
    called,
    compiler,
    marks_of,
    parse,
    tokens_of,
    told,
    walk,
)

REQUIRED = Tools(TOOLS.tools, Choice.REQUIRED)
VALIDATORS = {tool.name: Draft202012Validator(json.loads(tool.parameters)) for tool in TOOLS.tools}
CALLS = [
    call("set_light", room="a\"b'c\\", mode="day", level=3, on=True, note=None, colours=["é", "x"]),
    call("get-time_2"),
    call("set_light", room="", level=100, where={"x": 1.5, "y": False}),
]
ROOM = {"type": "string", "maxLength": 12}


@pytest.fixture(params=[(name, control) for name in FORMS for control in (True, False)], ids=str)
def spelled(request: pytest.FixtureRequest) -> tuple[Form, bool]:
    """A form, and whether its marks are control tokens."""
    name, control = request.param
    return FORMS[name], control


@cache  # to compile takes most of these tests' time, and a copy of what is compiled next to none
def compiled(form: Form, control: bool, tools: Tools) -> Bound:  # noqa: FBT001 - as `spelled` has it
    return compiler(form, control=control).calls(tools, form)


def bound(spelled: tuple[Form, bool], tools: Tools = TOOLS) -> Bound:
    form, control = spelled
    first = compiled(form, control, tools)  # type: ignore[arg-type] # every form is frozen
    return Bound(first._matcher.deep_copy(), first._vocabulary)


def accepted(spelled: tuple[Form, bool], answer: str, tools: Tools = TOOLS) -> bool:
    form, control = spelled
    return allows(bound(spelled, tools), tokens_of(form, answer, control=control))


def several(form: Form) -> list[ToolCall]:
    return CALLS[:1] if form is finding.LLAMA_3 else CALLS


def text_before(form: Form) -> str:
    return "" if form is finding.LLAMA_3 else "It's dark. "


def test_a_form_allows_what_the_family_writes(spelled: tuple[Form, bool]) -> None:
    written = spelled[0].write(several(spelled[0]))
    assert accepted(spelled, written)
    assert accepted(spelled, text_before(spelled[0]) + written)
    assert accepted(spelled, written, REQUIRED)
    assert accepted(spelled, "No call, <b>only</b> [text] (of) words.")
    assert accepted(spelled, "")


def test_text_is_no_answer_where_a_call_is_required(spelled: tuple[Form, bool]) -> None:
    assert not accepted(spelled, "", REQUIRED)
    assert not accepted(spelled, "Text", REQUIRED)
    assert not accepted(spelled, " " + spelled[0].write(CALLS[:1]), REQUIRED)


def test_a_call_is_no_answer_where_none_is_allowed(spelled: tuple[Form, bool]) -> None:
    none = Tools(TOOLS.tools, Choice.NONE)
    assert accepted(spelled, "Text", none)
    assert not accepted(spelled, spelled[0].write(CALLS[:1]), none)


@pytest.mark.parametrize(
    "wrong",
    [
        call("unknown"),
        call("set_light", room="x"),
        call("set_light", room="x", level=101),
        call("set_light", room="x", level="low"),
        call("set_light", room="x", mode="dusk", level=3),
        call("set_light", room="thirteen long", level=3),
        call("set_light", room="x", level=3, other=1),
        call("set_light", room="x", level=3, colours=["a", "b", "c"]),
        call("set_light", room="x", level=3, where={"y": True}),
        call("get-time_2", zone="x"),
    ],
    ids=str,
)
def test_an_invalid_call_is_never_allowed(wrong: ToolCall) -> None:
    for form in FORMS.values():
        assert not accepted((form, True), form.write([wrong])), form.name


def test_behind_an_opening_everything_is_bound(spelled: tuple[Form, bool]) -> None:
    form = spelled[0]
    if form is finding.LLAMA_3:
        assert not accepted(spelled, '{"a": 1}')
        return
    for text in (form.marks[0], text_before(form) + form.marks[0]):
        assert not accepted(spelled, text + " is a mark")
        assert not accepted(spelled, text)


def test_only_one_call_is_allowed_where_they_are_not_parallel(spelled: tuple[Form, bool]) -> None:
    form = spelled[0]
    one = Tools(TOOLS.tools, parallel=False)
    assert accepted(spelled, form.write(CALLS[:1]), one)
    assert form is finding.LLAMA_3 or not accepted(spelled, form.write(CALLS[:2]), one)


def test_only_the_tool_that_is_asked_for_is_called(spelled: tuple[Form, bool]) -> None:
    only = Tools(TOOLS.tools, Choice.REQUIRED, only="get-time_2")
    assert accepted(spelled, spelled[0].write([call("get-time_2")]), only)
    assert not accepted(spelled, spelled[0].write(CALLS[:1]), only)


def test_an_answer_ends_behind_the_only_call(spelled: tuple[Form, bool]) -> None:
    form = spelled[0]
    only = Tools((TIME,), Choice.REQUIRED, only=TIME.name, parallel=False)
    answer = walk(bound(spelled, only), Random(1))  # noqa: S311 - tests repeat
    assert answer is not None
    assert called(parse(form, [answer], only)) == [call(TIME.name)]


@pytest.mark.parametrize("choice", [Choice.REQUIRED, Choice.AUTO])
def test_every_call_of_a_random_answer_is_valid(spelled: tuple[Form, bool], choice: Choice) -> None:
    form, control = spelled
    tools = Tools(TOOLS.tools, choice)
    opening = form.marks[0] if form is not finding.LLAMA_3 else "{"
    before = "" if choice is Choice.REQUIRED else text_before(form) + opening
    random = Random(form.name)  # noqa: S311 - tests repeat
    calls = 0
    for _ in range(6):
        answer = walk(bound(spelled, tools), random, tokens_of(form, before, control=control))
        if answer is None:
            continue
        parts = parse(form, [answer], tools)
        assert told(parts) == ("" if choice is Choice.REQUIRED else text_before(form).rstrip())
        assert called(parts)
        for each in called(parts):
            VALIDATORS[each.name].validate(json.loads(each.arguments))
        calls += len(called(parts))
    assert calls >= 4


def test_what_is_forced_is_what_the_model_would_have_written(spelled: tuple[Form, bool]) -> None:
    form, control = spelled
    tokens = tokens_of(form, form.write(CALLS[1:2]), control=control)
    bounds = bound(spelled, Tools((TIME,), Choice.REQUIRED, parallel=False))
    at = forced = 0
    while at < len(tokens):
        more = [token.id for token in bounds.forced() if not token.ends]
        assert more == tokens[at : at + len(more)]
        at, forced = at + len(more), forced + len(more)
        if at < len(tokens):
            assert bounds.allows(tokens[at])
            bounds.accept(tokens[at])
            at += 1
    assert forced >= len(tokens) // 2


PARAMETERS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({"type": "string", "minLength": 2, "pattern": "^[a-c]+$"}, ["ab", "abc"], ["a", "abd", ""]),
    ({"type": "string", "format": "date"}, ["2026-11-28"], ["2026-11-31", "x"]),
    ({"type": "string", "format": "uri"}, ["https://a.org/b?c#d"], ["a b"]),
    ({"type": "string"}, ["", "two\nlines", "</parameter>", "null", " x "], []),
    ({"enum": ["a/b", "c\nd"]}, ["a/b", "c\nd"], ["a"]),
    ({"const": "x"}, ["x"], ["y"]),
    ({"type": "string", "enum": ["a", "b"], "description": "Which."}, ["a"], ["c"]),
    ({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]}, ["ab", None], ["abc"]),
    ({"type": ["integer", "null"], "minimum": 3}, [3, None], [2, "3"]),
    ({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]}, [3, "x"], [1.5, "xy"]),
    ({"type": "number", "maximum": 1.5}, [1.5, -2, 0.25], [2]),
    ({"enum": [1, 2.5, True, None]}, [1, 2.5, True, None], [2, False]),
    ({"enum": ["a", "b"], "const": "a"}, ["a"], ["b"]),
    ({"enum": [True, None], "const": True}, [True], [None]),
    ({"enum": [True, 3, None], "type": "integer"}, [3], [True, None]),
    ({"enum": [True, 3, "x"], "type": ["boolean", "null"]}, [True], [3, "x"]),
    ({"enum": ["a", "b"], "type": ["string", "null"]}, ["a"], ["c", None]),
    ({"type": "array", "minItems": 1, "items": {"enum": ["a", "b"]}}, [["a"], ["b", "a"]], [[], ["c"]]),
    ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, [[], [[1], []]], [[["a"]]]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1, "b": 2}], [{"a": "x"}]),
    (
        {"$ref": "#/$defs/tree"},
        [{"name": "a"}, {"child": {"name": "b"}, "name": "a"}],
        [{"child": 1, "name": "a"}],
    ),
]


def kinds(schema: dict[str, Any]) -> list[str]:
    return sorted(each.get("type", "") for each in schema.get("anyOf", []))


@pytest.mark.parametrize(("schema", "right", "wrong"), PARAMETERS, ids=lambda each: json.dumps(each)[:40])
def test_a_parameter_is_what_its_schema_allows(
    schema: dict[str, Any], right: list[Any], wrong: list[Any]
) -> None:
    tree = {
        "type": "object",
        "properties": {"child": {"$ref": "#/$defs/tree"}, "name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    document = {"properties": {"it": schema}, "required": ["it"], "$defs": {"tree": tree}}
    tools = Tools((Tool("do", "", json.dumps(document)),), Choice.REQUIRED)
    for form in FORMS.values():
        # Without a schema, tags don't tell the text from the number.
        quoted = form is not finding.QWEN_3_CODER or kinds(schema) != ["integer", "string"]
        for value in right if quoted else right[:1]:
            written = form.write([call("do", it=value)])
            assert accepted((form, True), written, tools), written
            (read,) = called(parse(form, [written.encode()], tools))
            assert json.loads(read.arguments) == {"it": value}
        for value in wrong:
            written = form.write([call("do", it=value)])
            if form is not finding.QWEN_3_CODER or not isinstance(value, str):
                assert not accepted((form, True), written, tools), written


def test_keywords_of_python_are_only_those_that_all_of_a_schema_allows() -> None:
    for schema in (
        {"allOf": [{"const": True}]},
        {"anyOf": [{"type": "boolean"}]},
        {"oneOf": [{"const": True}]},
    ):
        document = {"properties": {"it": {"type": ["boolean", "null"], **schema}}, "required": ["it"]}
        tools = Tools((Tool("do", "", json.dumps(document)),), Choice.REQUIRED)
        assert accepted((finding.LFM_2, True), "<|tool_call_start|>[do(it=true)]<|tool_call_end|>", tools)
        assert not accepted((finding.LFM_2, True), finding.LFM_2.write([call("do", it=None)]), tools)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ('{"type":"array"}', '#: the parameters of a tool are an object: write "type": "object"'),
        ('{"properties":{"a":{"not":{}}}}', "#/properties/a: the keyword 'not' is not enforced here"),
        ('{"properties":{"a":{}},"required":[{},"a"]}', "#: 'required' takes a list of names"),
        ("{", "#: not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_a_tool_that_is_refused_is_named_with_the_place(parameters: str, told: str) -> None:
    tools = Tools((TIME, Tool("x", "", parameters)))
    for form in FORMS.values():
        with pytest.raises(InvalidRequestError) as refused:
            bound((form, True), tools)
        assert refused.value.message == f"tools.1.function.parameters: {told}"


@pytest.mark.parametrize(
    ("form", "parameters", "place", "what"),
    [
        (
            finding.QWEN_3_CODER,
            {"properties": {"a>b": {"type": "integer"}}},
            "#/properties/a>b",
            "such a name",
        ),
        (finding.LFM_2, {"properties": {"a b": {"type": "integer"}}}, "#/properties/a b", "such a name"),
        (finding.LFM_2, {"properties": {}, "maxProperties": 1}, "#", "'maxProperties'"),
        (
            finding.GEMMA_4,
            {"properties": {"a": {"type": "array", "prefixItems": [{"type": "integer"}]}}},
            "#/properties/a",
            "'prefixItems'",
        ),
        (
            finding.GEMMA_4,
            {"properties": {"a": {"properties": {"b:c": {"type": "integer"}}}}},
            "#/properties/a/properties/b:c",
            "such a name",
        ),
    ],
)
def test_what_a_form_has_no_way_to_write_is_refused_by_name(
    form: Form, parameters: dict[str, Any], place: str, what: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        bound((form, True), Tools((Tool("x", "", json.dumps(parameters)),)))
    assert refused.value.message == (
        f"tools.0.function.parameters: {place}: {what} "
        "is not enforced in the form in which this model calls tools"
    )


@pytest.mark.parametrize("form", [finding.QWEN_3_CODER, finding.GEMMA_4], ids=lambda form: form.name)
@pytest.mark.parametrize("more", [{"pattern": "a"}, {"maxLength": 3}], ids=str)
def test_a_text_that_can_not_be_is_refused(form: Form, more: dict[str, Any]) -> None:
    schema = {"properties": {"it": {"type": "string", "format": "date", **more}}, "required": ["it"]}
    with pytest.raises(InvalidRequestError) as refused:
        bound((form, True), Tools((Tool("x", "", json.dumps(schema)),)))
    assert refused.value.message == "tools.0.function.parameters: #/properties/it: no value fulfils it"


@pytest.mark.parametrize("choice", [Choice.AUTO, Choice.REQUIRED])
def test_a_tool_whose_arguments_can_not_be_is_named_among_others(choice: Choice) -> None:
    schema = {"properties": {"it": {"type": "string", "pattern": r"[^\s\S]"}}, "required": ["it"]}
    tools = Tools((TIME, Tool("x", "", json.dumps(schema))), choice)
    with pytest.raises(InvalidRequestError) as refused:
        bound((finding.OURS, True), tools)
    assert refused.value.message == "tools.1.function.parameters: no answer fulfils it"


def test_too_much_is_refused() -> None:
    large = json.dumps({"properties": {"a": {"enum": ["x" * 1000] * 40}}})
    with pytest.raises(InvalidRequestError, match="more than 65,536 bytes together"):
        bound((finding.OURS, True), Tools((Tool("a", "", large), Tool("b", "", large))))


def test_a_tool_that_is_not_there_can_not_be_asked_for() -> None:
    with pytest.raises(InvalidRequestError, match="there is no tool of that name"):
        bound((finding.OURS, True), Tools((TIME,), Choice.REQUIRED, only="other"))


def test_a_clients_own_grammar_gets_no_control_token() -> None:
    form = finding.OURS
    marks = marks_of(form)
    made = compiler(form, control=True)
    for text in ("start: /(?s:.*)/", 'start: "<tool_call>" /(?s:.*)/'):
        bounds = made.bound(Constraint(ConstraintKind.GRAMMAR, text))
        assert not any(bounds.allows(id_) for id_ in marks.values())
    with pytest.raises(InvalidRequestError, match="a control token"):
        made.bound(Constraint(ConstraintKind.GRAMMAR, f"start: <[{marks['<tool_call>']}]>"))


def test_what_a_bound_answer_forces_has_the_marks_bytes() -> None:
    form = finding.GEMMA_4
    bounds = bound((form, True), Tools((TIME,), Choice.REQUIRED, parallel=False))
    said = b"".join(token.piece for token in bounds.forced())
    assert said.startswith(b"<|tool_call>call:get-time_2{}<tool_call|>"[: len(said)])
    assert said.startswith(b"<|tool_call>call:")


BARE = '{"name": "set_light", "arguments": {"room": "a", "level": 3}}'
OTHER = '{"name": "get-time_2", "arguments": {}}'


IN_JSON = [name for name, form in FORMS.items() if isinstance(form, JsonCalls)]


@pytest.fixture(params=[(name, control) for name in IN_JSON for control in (True, False)], ids=str)
def in_json(request: pytest.FixtureRequest) -> tuple[Form, bool]:
    """A form with objects between marks, and whether these are control tokens."""
    name, control = request.param
    return FORMS[name], control


def test_an_object_that_names_a_tool_is_a_call_without_a_mark_too(in_json: tuple[Form, bool]) -> None:
    one = Tools(TOOLS.tools, parallel=False)
    for text in (BARE, f" \n{BARE}\n", f"```json\n{BARE}\n```", f"```\n{OTHER}```"):
        assert accepted(in_json, text)
        assert accepted(in_json, text, one)
        assert not accepted(in_json, text, REQUIRED)
        assert not accepted(in_json, text, Tools(TOOLS.tools, Choice.NONE))
    assert accepted(in_json, f"{BARE}\n{OTHER}")
    assert not accepted(in_json, f"{BARE}\n{OTHER}", one)
    for text in (f"So: {BARE}", '{"name": "Bob"}', '{"name": "set _light"}', "{}", "```json\n{}\n```"):
        assert accepted(in_json, text)
        assert accepted(in_json, text, Tools(TOOLS.tools, Choice.NONE))


@pytest.mark.parametrize("before", ["", " \n", "```json\n"])
def test_behind_the_name_of_a_tool_everything_is_bound(in_json: tuple[Form, bool], before: str) -> None:
    form, control = in_json
    assert not accepted(in_json, before + BARE.replace("3", "101"))
    assert not accepted(in_json, f'{before}{{"name": "set_light"}}')
    assert not accepted(in_json, f"{before}{BARE} and more")
    said = tokens_of(form, f'{before}{{"name": "set_light"', control=control)
    for seed in range(3):
        answer = walk(bound(in_json), Random(seed), said)  # noqa: S311 - tests repeat
        if answer is not None:
            parts = parse(form, [answer])
            assert told(parts) == ""
            for each in called(parts):
                VALIDATORS[each.name].validate(json.loads(each.arguments))
            assert called(parts)
