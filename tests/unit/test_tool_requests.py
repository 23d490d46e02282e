"""What a request may say of tools, of calls and of results, and what it is told where that can't be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.constraints import CONSTRAINTS
from edgeassist.protocol.requests import PromptRequest, parse_prompt
from edgeassist.protocol.tools import MAX_TOOLS, MAX_TOOLS_BYTES

USER = {"role": "user", "content": "x"}
RELAY: dict[str, Any] = {
    "name": "set_relay",
    "description": "Switches a relay.",
    "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
}
SCHEMAS = {"json_schema": {"type": "object"}, "regex": "a", "choice": ["a"], "grammar": "start: 'a'"}


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **function}}


def called(*ids: str, arguments: object = "{}") -> dict[str, Any]:
    calls = [
        {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}} for id_ in ids
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(id_: str, content: str = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def parse(**fields: object) -> PromptRequest:
    request = fields if "messages" in fields else {"prompt": "x", **fields}
    return parse_prompt(json.dumps(request).encode(), limit=1 << 20)


def problem(**fields: object) -> str:
    with pytest.raises(InvalidRequestError) as refusal:
        parse(**fields)
    return refusal.value.message


def test_tools_are_taken_as_openai_writes_them() -> None:
    request = parse(
        tools=[tool(**RELAY, strict=True), tool(strict=None), tool(name="g", strict=False, parameters=None)],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    assert request.tools is not None
    relay, bare, other = [each.function for each in request.tools]
    assert (relay.name, relay.description, relay.parameters) == tuple(RELAY.values())
    assert (bare.name, bare.description, bare.parameters, other.parameters) == ("f", None, None, None)
    assert (request.tool_choice, request.parallel_tool_calls) == ("required", False)


@pytest.mark.parametrize(
    "choice", ["auto", "none", "required", None, {"type": "function", "function": {"name": "f"}}]
)
def test_a_choice_is_a_word_or_names_a_tool(choice: object) -> None:
    assert parse(tools=[tool()], tool_choice=choice).model_dump()["tool_choice"] == choice


@pytest.mark.parametrize(
    "choice",
    [
        "f",
        "any",
        True,
        5,
        ["auto"],
        {"name": "f"},
        {"type": "function", "name": "f"},
        {"function": {"name": "f"}},
    ],
)
def test_another_choice_is_refused_with_what_there_is(choice: object) -> None:
    assert problem(tools=[tool()], tool_choice=choice) == (
        'tool_choice: must be "auto", "none", "required" or {"type": "function", "function": {"name": …}}'
    )


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ([], "tools: takes 1 to 128 tools, not 0"),
        ([tool(name=f"f{at}") for at in range(MAX_TOOLS + 1)], "tools: takes 1 to 128 tools, not 129"),
        ([5] * (MAX_TOOLS + 1), "tools: takes 1 to 128 tools, not 129"),
        (tool(), "tools: must be a list, not an object"),
        ([tool(), tool(name="g"), tool()],
         "tools: has the name 'f' twice: every tool needs a name of its own"),
        ([tool(name="set relay")], "tools.0.function.name: must be 1 to 64 of A-Z a-z 0-9 _ -"),
        ([tool(name="f" * 65)], "tools.0.function.name: must be 1 to 64 of A-Z a-z 0-9 _ -"),
        ([tool(name=5)], "tools.0.function.name: must be text, not a number"),
        ([RELAY],
         'tools.0: must be {"type": "function", "function": {"name": …, "description": …, "parameters": …}}'),
        ([{"type": "function"}], "tools.0.function: Field required"),
        ([{"type": "mcp", "function": RELAY}], "tools.0.type: Input should be 'function'"),
        ([tool(description=["x"])], "tools.0.function.description: must be text, not a list"),
        ([tool(parameters={"type": "array"})],
         'tools.0.function.parameters: must be the schema of an object, with "type": "object": '
         "arguments have names"),
        ([tool(parameters=True)], "tools.0.function.parameters: must be an object, not true or false"),
        ([tool(strict="yes")],
         "tools.0.function.strict: must be true or false, not text: leave the quotes out"),
        ([tool(returns={})], "unknown field 'tools.0.function.returns'"),
    ],
)  # fmt: skip
def test_a_tool_that_is_none_is_refused_with_its_place(tools: object, message: str) -> None:
    assert problem(tools=tools) == message


def test_the_schema_of_a_tool_has_the_limits_of_every_schema_and_all_tools_one_together() -> None:
    deep: Any = {}
    for _ in range(63):
        deep = {"x": deep}
    parse(tools=[tool(parameters=deep)])
    assert problem(tools=[tool(parameters={"x": deep})]) == (
        "tools.0.function.parameters: is nested more than 64 deep"
    )
    size = len(json.dumps([tool(description="")], separators=(",", ":")))
    parse(tools=[tool(description="x" * (MAX_TOOLS_BYTES - size))])
    assert problem(tools=[tool(description="x" * (MAX_TOOLS_BYTES - size + 1))]) == (
        "tools: has 65537 bytes, and is limited to 65536"
    )


def test_a_choice_needs_tools_and_a_name_one_of_them() -> None:
    for field, value in (("tool_choice", "none"), ("parallel_tool_calls", True)):
        assert (
            problem(**{field: value}) == f"{field}: there are no tools: send tools with it, or leave it out"
        )
    other = {"type": "function", "function": {"name": "h"}}
    assert problem(tools=[tool(), tool(name="g")], tool_choice=other) == (
        "tool_choice: 'h' is none of the tools, f, g"
    )


def test_only_one_thing_says_where_an_answer_ends() -> None:
    for name in CONSTRAINTS:
        assert problem(tools=[tool()], **{name: SCHEMAS[name]}) == (
            f"tools and {name}: either may bind the answer, leave out one"
        )
    assert problem(tools=[tool()], ignore_eos=True) == "tools: calls end an answer: leave out ignore_eos"
    parse(tools=[tool()], stop=["END"])


def test_bare_text_has_no_place_for_calls() -> None:
    assert problem(tools=[tool()], format="text") == (
        'tools: calls need events: leave out format, or say tool_choice "none"'
    )
    parse(tools=[tool()], format="text", tool_choice="none")


def test_old_names_are_told_the_new_ones() -> None:
    assert problem(functions=[RELAY]) == (
        'unknown field \'functions\': send tools, of which each is {"type": "function", "function": …}'
    )
    assert problem(function_call="auto") == "unknown field 'function_call': send tool_choice"
    assert problem(messages=[USER, {"role": "assistant", "content": "", "function_call": {}}]) == (
        "unknown field 'messages.1.function_call': send tool_calls"
    )
    assert problem(messages=[USER, {"role": "function", "name": "f", "content": "5"}]).startswith(
        'messages.1.role: "function" is an old name: send the role "tool" with a tool_call_id'
    )


# --- a conversation with calls -----------------------------------------------------------------------------


def test_calls_and_their_results_are_a_part_of_a_conversation() -> None:
    messages = parse(
        messages=[USER, called("a", "b"), result("b", ""), result("a"), USER, called("a"), result("a")]
    )
    assert messages.messages is not None
    assert [turn.role for turn in messages.messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
        "assistant",
        "tool",
    ]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ('{"a": [1, "你"]}', '{"a": [1, "你"]}'),
        ({"a": [1, "你"]}, '{"a":[1,"你"]}'),
        ({}, "{}"),
    ],
)
def test_arguments_are_an_object_or_one_as_text(given: object, text: str) -> None:
    messages = parse(messages=[USER, called("a", arguments=given), result("a")]).messages
    assert messages is not None
    assert messages[1].tool_calls is not None
    assert messages[1].tool_calls[0].function.arguments == text


@pytest.mark.parametrize(
    "given", ["", "[]", "5", '"{}"', '{"a": NaN}', '{"a": 1', "[" * 5000, [], 5, None, '{"a":' * 70]
)
def test_other_arguments_are_refused_with_their_place(given: object) -> None:
    said = problem(messages=[USER, called("a", arguments=given), result("a")])
    assert said.startswith("messages.1.tool_calls.0.function.arguments: must be an object")


def test_arguments_nested_too_deep_are_refused() -> None:
    deep = '{"a":' * 65 + "1" + "}" * 65
    said = problem(messages=[USER, called("a", arguments=deep), result("a")])
    assert said == "messages.1.tool_calls.0.function.arguments: is nested more than 64 deep"


MISSING = (
    "a result is missing, of {}: send a message of the role tool, with tool_call_id and content, "
    "for every call"
)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([USER, result("a")],
         "messages.1.tool_call_id: 'a' is no call of the assistant's message before it: it called nothing"),
        ([USER, called("a", "b"), result("a"), result("c")],
         "messages.3.tool_call_id: 'c' is no call of the assistant's message before it: it called a, b"),
        ([USER, called("a"), result("a"), USER, result("a")],
         "messages.4.tool_call_id: 'a' is no call of the assistant's message before it: it called nothing"),
        ([USER, called("a"), result("a"), result("a")],
         "messages.3.tool_call_id: 'a' has its result already"),
        ([USER, called("a"), USER], f"messages.2: {MISSING.format('a (f)')}"),
        ([USER, called("a", "b"), result("b"), USER], f"messages.3: {MISSING.format('a (f)')}"),
        ([USER, called("a", "b")], f"at the end of messages: {MISSING.format('a (f), b (f)')}"),
        ([USER, called("a"), {"role": "assistant", "content": "so"}],
         f"messages.2: {MISSING.format('a (f)')}"),
        ([USER, {"role": "tool", "content": "5"}],
         "messages.1.tool_call_id: missing: it says which call's result this is"),
        ([{**USER, "tool_call_id": "a"}], "messages.0.tool_call_id: only a message of the role tool has one"),
        ([{**called("a"), "role": "user"}], "messages.0.tool_calls: only an assistant's message has them"),
        ([USER, called("a", "a")],
         "messages.1.tool_calls: an id comes twice: every call needs one of its own"),
        ([USER, {"role": "assistant", "tool_calls": []}], "messages.1.content: missing: it is a text"),
        ([{"role": "user", "content": None}], "messages.0.content: missing: it is a text"),
        ([USER, called("a"), {**result("a"), "content": {"ok": True}}],
         "messages.2.content: must be text, not an object"),
        ([USER, called("a" * 129)],
         "messages.1.tool_calls.0.id: String should have at most 128 characters"),
    ],
)  # fmt: skip
def test_calls_and_results_that_do_not_belong_together_are_refused_with_their_place(
    messages: list[object], message: str
) -> None:
    assert problem(messages=messages) == message


# --- in a session ------------------------------------------------------------------------------------------


def test_a_session_takes_results_and_what_the_user_says_then() -> None:
    for messages in ([result("a")], [result("a"), result("b")], [result("a"), USER, USER]):
        assert len(parse(session="s", messages=messages).results) == len(messages) - messages.count(USER)
    assert parse(messages=[USER, called("a"), result("a")]).results == ()


@pytest.mark.parametrize(
    "messages",
    [[USER], [USER, result("a")], [called("a"), result("a")], [result("a"), USER, result("b")],
     [result("a"), {"role": "assistant", "content": "x"}], [{"role": "system", "content": "x"}, result("a")]],
)  # fmt: skip
def test_other_messages_do_not_go_with_a_session(messages: list[object]) -> None:
    assert problem(session="s", messages=messages).startswith("a session keeps the messages itself")


def test_a_session_takes_one_result_of_each_call() -> None:
    assert (
        problem(session="s", messages=[result("a"), result("a")]) == "messages: the call 'a' has two results"
    )
