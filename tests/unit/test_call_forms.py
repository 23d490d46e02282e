"""How families write tool calls: which form a model has, and what is read of an answer."""

from __future__ import annotations

import json

import pytest

from edgeassist.engine.messages import Choice, DeltaKind, Tool, ToolCall, Tools
from edgeassist.engine.prompting.calls import finding
from edgeassist.engine.prompting.calls.finding import find_form
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.calls.jsons import JsonCalls
from edgeassist.engine.prompting.parser import Part, TextParser, ThoughtParser
from edgeassist.engine.prompting.thoughts import Marks
from tests.unit.calls import FORMS, TOOLS, call, called, parse, told

CALLS = [
    call(
        "set_light",
        room="a\"b'c\\ {[(<é😀 \n",
        level=3,
        on=True,
        note=None,
        colours=["}", "]"],
        where={"x": -1.5e3, "y": False},
    ),
    call("get-time_2"),
]


@pytest.fixture(params=list(FORMS))
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


def alike(calls: list[ToolCall]) -> list[object]:
    return [(each.name, json.loads(each.arguments)) for each in calls]


def written(form: Form) -> tuple[str, list[ToolCall]]:
    calls = CALLS[:1] if form is finding.LLAMA_3 else CALLS
    return form.write(calls), calls


def before(form: Form) -> str:
    return "" if form is finding.LLAMA_3 else "First <b>text</b> [x] "


def test_an_answer_is_read_alike_however_its_bytes_are_cut(form: Form) -> None:
    text, calls = written(form)
    data = f"{before(form)}\n\n{text}\n".encode()
    whole = parse(form, [data])
    assert alike(called(whole)) == alike(calls)
    assert told(whole) == before(form).rstrip()
    assert parse(form, [data[at : at + 1] for at in range(len(data))]) == whole
    for at in range(len(data)):
        assert parse(form, [data[:at], data[at:]]) == whole
    for size in (2, 3, 5, 7, 11):
        assert parse(form, [data[at : at + size] for at in range(0, len(data), size)]) == whole


def test_a_call_is_told_as_soon_as_it_is_complete(form: Form) -> None:
    text, calls = written(form)
    parser = form.parser(TOOLS, TextParser(()))
    heard = [len(parser.push(bytes([byte]))) for byte in text.encode()]
    assert sum(heard) == len(calls)
    assert not parser.calling
    assert not parser.verbatim
    assert parser.finish() == []


def test_a_call_that_is_cut_off_is_nothing(form: Form) -> None:
    text, calls = written(form)
    data = (before(form) + text).encode()
    opened = len(before(form).encode()) + len(form.marks[0].encode())
    for at in range(opened, len(data)):
        parser = form.parser(TOOLS, TextParser(()))
        parts = [*parser.push(data[:at]), *parser.finish()]
        assert told(parts) == before(form).rstrip()
        assert alike(called(parts)) in (alike(calls[:count]) for count in range(len(calls) + 1))
        assert parser.calling or called(parts)


def test_text_without_a_call_is_told_as_it_is(form: Form) -> None:
    for text in (" \n", "a", "\n  <b> [1] (2) <\n", "a\n\n<", "a <|", "x [T"):
        assert parse(form, [text.encode()]) == [Part(DeltaKind.TEXT, text)]
        assert parse(form, [bytes([byte]) for byte in text.encode()]) == [Part(DeltaKind.TEXT, text)]


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "{",
        "x",
        "\n{}",
        "\n[1]",
        '\n{"name": 1}\n',
        "[[[[" * 400,
        '{"name": "a", "arguments": []}',
        "<|",
        "call:",
    ],
)
def test_what_is_no_call_is_text_or_nothing_and_never_an_exception(form: Form, garbage: str) -> None:
    data = f"{form.marks[0]}{garbage}".encode() + b"\xff\xfe and more"
    parts = parse(form, [data])
    assert called(parts) == []
    assert parse(form, [bytes([byte]) for byte in data]) == parts
    text, calls = written(form)
    assert form is finding.LLAMA_3 or len(called(parse(form, [b"x \xff" + text.encode()]))) == len(calls)


def test_garbage_with_a_call_behind_it_is_text_and_a_call() -> None:
    form = finding.OURS
    text = f"a <tool_call>oh, {form.write(CALLS)}"
    parts = parse(form, [text.encode()])
    assert told(parts) == "a <tool_call>oh,"
    assert alike(called(parts)) == alike(CALLS)


def test_a_stop_text_holds_for_text_only(form: Form) -> None:
    text, calls = written(form)
    stop = ["set_light", "get-time"]
    assert alike(called(parse(form, [text.encode()], stop=stop))) == alike(calls)
    if form is not finding.LLAMA_3:
        stopped = parse(form, [f"a set_light {text}".encode()], stop=stop)
        assert stopped == [Part(DeltaKind.TEXT, "a ")]


def test_the_beginning_of_a_mark_at_the_end_is_no_text() -> None:
    assert parse(finding.OURS, [b"Wait.\n<tool_c"]) == [Part(DeltaKind.TEXT, "Wait.")]
    assert parse(finding.OURS, [b"1 <"]) == [Part(DeltaKind.TEXT, "1 <")]


def test_an_answer_of_which_something_is_left_out_is_not_verbatim(form: Form) -> None:
    data = written(form)[0].encode()
    sure = Tools(TOOLS.tools, Choice.REQUIRED)
    for at in range(1, len(data)):
        parser = form.parser(sure, TextParser(()))
        parts = [*parser.push(data[:at]), *parser.finish()]
        assert told(parts) == ""
        assert not parser.verbatim
    parser = form.parser(TOOLS, TextParser(()))
    assert [*parser.push(b"text"), *parser.finish()]
    assert parser.verbatim


def test_what_a_model_ends_its_turn_with_is_no_text() -> None:
    for form in (finding.GEMMA_4, finding.FUNCTION_GEMMA):
        text = form.write(CALLS[1:]) + form.marks[-1]
        assert parse(form, [text.encode()]) == parse(form, [form.write(CALLS[1:]).encode()])


def test_calls_come_behind_thoughts() -> None:
    marks = Marks("<think>", "</think>")
    parser = ThoughtParser(marks, finding.OURS.parser(TOOLS, TextParser(())), thinks=False)
    data = f"<think>hm, {finding.OURS.write(CALLS[1:])}</think>\n\n{finding.OURS.write(CALLS[1:])}"
    parts = parser.push(data.encode())
    assert [part.kind for part in parts] == [DeltaKind.THOUGHT, DeltaKind.TOOL_CALL]
    assert not parser.verbatim
    assert not parser.calling


def test_arguments_are_told_as_they_are_written() -> None:
    text = '<tool_call>\n{"arguments": {"a":1.0,  "b": 1e5}, "name": "x"}\n</tool_call>'
    assert called(parse(finding.OURS, [text.encode()])) == [ToolCall("x", '{"a":1.0,  "b": 1e5}')]
    text = '<|tool_call_start|>[x(a=1.0, b=True, c=None, d={"e": [1e5]})]<|tool_call_end|>'
    read = called(parse(finding.LFM_2, [text.encode()]))
    assert read == [ToolCall("x", '{"a": 1.0, "b": true, "c": null, "d": {"e": [1e5]}}')]


def test_a_parameter_in_tags_is_a_text_where_its_schema_says_so() -> None:
    form = finding.QWEN_3_CODER
    text = form.write([call("set_light", room="3", level=3, on=True, note="null")])
    assert (
        '"room": "3", "level": 3, "on": true, "note": null'
        in called(parse(form, [text.encode()]))[0].arguments
    )
    python = text.replace("true", "True")
    assert parse(form, [python.encode()]) == parse(form, [text.encode()])


def test_a_tool_that_is_not_called_may_have_any_schema() -> None:
    odd = Tool("odd", "", '{"properties": {"a": {"enum": ["x"], "type": [[]]}, "b": {"type": {}}, "c": 1}}')
    tools = Tools((*TOOLS.tools, odd), Choice.REQUIRED, only="get-time_2")
    for form in FORMS.values():
        assert alike(called(parse(form, [form.write(CALLS[1:]).encode()], tools))) == alike(CALLS[1:])


def test_mistral_writes_ids_or_not() -> None:
    text = '[TOOL_CALLS] [{"name": "x", "arguments": {}, "id": "abcdefghi"}, {"name": "y", "arguments": {}}]'
    assert [each.name for each in called(parse(finding.MISTRAL_LIST, [text.encode()]))] == ["x", "y"]
    text = "[TOOL_CALLS]x[CALL_ID]abcdefghi[ARGS]{}[TOOL_CALLS]y[ARGS]{}"
    assert [each.name for each in called(parse(finding.MISTRAL_11, [text.encode()]))] == ["x", "y"]


def test_llama_calls_at_the_beginning_only() -> None:
    object_ = '{"name": "x", "parameters": {"a": 1}}'
    for text in (object_, f" \n{object_}", f"<|python_tag|>{object_}", f"<|python_tag|>\n{object_}"):
        assert called(parse(finding.LLAMA_3, [text.encode()])) == [ToolCall("x", '{"a": 1}')]
    assert parse(finding.LLAMA_3, [f"So: {object_}".encode()]) == [Part(DeltaKind.TEXT, f"So: {object_}")]


ZQ = ToolCall("zqtool", '{"zqkey": "zqvalue"}')


@pytest.mark.parametrize(
    ("written", "form"),
    [(f"<|im_start|>assistant\n{form.write([ZQ])}<|im_end|>\n", form) for form in FORMS.values()],
    ids=list(FORMS),
)
def test_the_form_is_that_in_which_the_template_writes_a_call(written: str, form: Form) -> None:
    vocabulary = [*form.marks, *(["<|python_tag|>"] if form is finding.LLAMA_3 else [])]
    found = find_form(written, "{{ tools }}", vocabulary)
    if form.name == "tool_calls":
        assert found == JsonCalls("tool_calls", "<tool_calls>", "</tool_calls>", listed=True)
    elif form in {finding.GRANITE_3, finding.PHI_4_MINI}:
        assert (found.marks, found.write([ZQ])) == (form.marks, form.write([ZQ]))
    else:
        assert found is form


@pytest.mark.parametrize(
    ("source", "vocabulary", "form"),
    [
        ("{{ messages }}", [], finding.OURS),
        ("{{ messages }}", ["<tool_call>"], finding.OURS),
        ("return calls within <tool_call></tool_call> tags", ["<|tool_call|>"], finding.OURS),
        ("{{ tools }}", ["<|tool_call_start|>", "<|tool_call_end|>"], finding.LFM_2),
        ("respond only with <|tool_call|> followed by a JSON list", [], finding.GRANITE_3),
        ("{{ messages }}", ["<|tool_call|>", "<|/tool_call|>"], finding.PHI_4_MINI),
        ("{{ messages }}", ["[TOOL_CALLS]", "[ARGS]"], finding.MISTRAL_11),
        ("{{ '[TOOL_CALLS][' }}", ["[TOOL_CALLS]"], finding.MISTRAL_LIST),
        ('Respond in the format {"name": function name, "parameters": dictionary of', [], finding.LLAMA_3),
        ("<tool_call>\n<function=a>\n<parameter=b>", [], finding.QWEN_3_CODER),
        ("{{ messages }}", ["<start_function_call>"], finding.FUNCTION_GEMMA),
        ("{{ messages }}", ["<|tool_call>"], finding.GEMMA_4),
    ],
)
def test_the_form_is_told_by_source_and_vocabulary_where_no_call_is_written(
    source: str, vocabulary: list[str], form: Form
) -> None:
    assert find_form(None, source, vocabulary) is form


@pytest.mark.parametrize(
    "written",
    [
        "<tool_call>zqtool\n<arg_key>zqkey</arg_key>\n<arg_value>zqvalue</arg_value>\n</tool_call>",
        '<function=zqtool>{"zqkey": "zqvalue"}</function>',
        "<seed:tool_call>\n<function=zqtool>\n<parameter=zqkey>zqvalue</parameter>\n</function>",
    ],
)
def test_a_form_that_we_do_not_know_is_ours(written: str) -> None:
    assert find_form(written, f"<|python_tag|> {written}", ["[TOOL_CALLS]"]) is finding.OURS


def test_a_mark_of_a_turn_is_none_of_a_call() -> None:
    text = '<|end_header_id|>\n\n{"name": "zqtool", "parameters": {"zqkey": "zqvalue"}}<|eot_id|>'
    assert find_form(text, "", []) is finding.LLAMA_3


def test_no_tool_is_needed_to_read() -> None:
    assert alike(called(parse(finding.OURS, [finding.OURS.write(CALLS).encode()], Tools(())))) == alike(CALLS)


BARE = '{"name": "set_light", "arguments": {"room": "a", "level": 3}}'
OTHER = '{"name": "get-time_2", "arguments": {}}'
IN_JSON = [form for form in FORMS.values() if isinstance(form, JsonCalls)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (BARE, ["set_light"]),
        (f" \n{BARE}\n", ["set_light"]),
        (f"```json\n{BARE}\n```", ["set_light"]),
        (f"```\n{OTHER}```", ["get-time_2"]),
        ('{\n  "name" : "get-time_2",\n  "arguments": {}\n}', ["get-time_2"]),
        (f"{BARE}\n{OTHER}\n", ["set_light", "get-time_2"]),
    ],
)
def test_an_answer_that_begins_with_an_object_that_names_a_tool_is_a_call(
    text: str, names: list[str]
) -> None:
    for form in IN_JSON:
        parts = parse(form, [text.encode()])
        assert ([each.name for each in called(parts)], told(parts)) == (names, "")
        assert parse(form, [bytes([byte]) for byte in text.encode()]) == parts
        assert parse(form, [text.encode()], Tools(TOOLS.tools, Choice.NONE)) == [Part(DeltaKind.TEXT, text)]


@pytest.mark.parametrize(
    "text",
    [
        f"So: {BARE}",
        f"[{BARE}]",
        "{}",
        "```",
        "```json\n{}\n```",
        "```python\nprint()\n```",
        '{"name": "Bob"}',
        '{"name": "set_lights"}',
        '{"name": "set _light"}',
        '{"na me": "set_light"}',
        '{"name": "set_light"}',
        ' \n{"name": "set_light", "age": 3} and more',
    ],
)
def test_an_object_that_is_no_call_is_text(text: str) -> None:
    for form in IN_JSON:
        assert parse(form, [text.encode()]) == [Part(DeltaKind.TEXT, text)]
        assert parse(form, [bytes([byte]) for byte in text.encode()]) == [Part(DeltaKind.TEXT, text)]


def test_a_call_without_a_mark_that_is_cut_off_is_nothing() -> None:
    text = f"```json\n{BARE}\n{OTHER}"
    for form in IN_JSON:
        for at in range(text.index('"name'), len(text)):
            parts = parse(form, [text[:at].encode()])
            assert told(parts) == ""
            assert len(called(parts)) == (0 if at < text.index(BARE) + len(BARE) else 1)


def test_a_call_behind_others_that_is_cut_off_at_its_beginning_has_begun() -> None:
    for text in (f'{BARE}\n{{"na', f"{finding.OURS.write(CALLS)}\n<tool_c"):
        parser = finding.OURS.parser(TOOLS, TextParser(()))
        assert parser.push(text.encode())
        assert parser.finish() == []
        assert parser.calling
    parser = finding.OURS.parser(TOOLS, TextParser(()))
    assert [*parser.push(f"```json\n{BARE}\n```".encode()), *parser.finish()]
    assert not parser.calling


@pytest.mark.parametrize("before", ["", "<tool_call>", "[", "<tool_call>[", "x"])
def test_long_white_space_in_what_a_template_writes_is_looked_at_once(before: str) -> None:
    # Looked at for each of its parts, it takes hours.
    assert find_form((before + " " * 20_000) * 3 + "<", "", []) is finding.OURS
