import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.errors import InvalidRequestError, TooLargeError
from edgeassist.protocol.asking import MAX_METADATA_BYTES, Priority, ReplyFormat
from edgeassist.protocol.requests import MAX_STOPS, PromptRequest, parse_prompt
from edgeassist.protocol.turns import MAX_MESSAGES, Turn

LIMIT = 1 << 20
QUESTION = {"role": "user", "content": "x"}


def parse(payload: object) -> PromptRequest:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return parse_prompt(data, limit=LIMIT)


def problem(payload: object) -> str:
    with pytest.raises(InvalidRequestError) as refusal:
        parse(payload)
    return refusal.value.message


def attempt(data: bytes, *, limit: int) -> PromptRequest | str:
    """Return the request, or why it is none; any other exception is a defect."""
    try:
        return parse_prompt(data, limit=limit)
    except (InvalidRequestError, TooLargeError) as refusal:
        return refusal.message


@pytest.mark.parametrize(
    "text",
    ["hello", "你好 😀", "[1, 2]", "[]", "5", "null", '"quoted"', "true", " leading {", "a\0b", "[" * 10_000],
)
def test_any_text_that_is_no_json_object_is_the_prompt_itself(text: str) -> None:
    request = parse(text.encode())
    assert request.prompt == text
    assert request.messages is None
    assert request.stream


def test_every_request_without_an_id_gets_one_of_its_own() -> None:
    ids = {parse(b"hello").id, parse(b"hello").id, parse({"prompt": "hello"}).id}
    assert len(ids) == 3


def test_a_request_says_all_that_the_contract_knows() -> None:
    request = parse(
        {
            "id": "Az09_-",
            "prompt": "x",
            "system": "Be brief.",
            "session": "s1",
            "resume": True,
            "reply_to": "reply/x",
            "stream": False,
            "format": "text",
            "max_packet": 256,
            "end": "short",
            "max_tokens": 1,
            "temperature": 0,
            "top_k": 0,
            "top_p": 1,
            "min_p": 0,
            "repeat_penalty": 1.1,
            "seed": 2**32 - 1,
            "stop": ["a", "b"],
            "priority": "high",
            "timeout_s": 0.5,
            "metadata": {"deep": [None, {"你": 1.5}]},
        }
    )
    assert request.format is ReplyFormat.TEXT
    assert request.priority is Priority.HIGH
    assert request.stop == ("a", "b")
    assert request.seed == 2**32 - 1
    assert request.metadata == {"deep": [None, {"你": 1.5}]}


@pytest.mark.parametrize("field", ["max_tokens", "top_k", "seed", "max_packet"])
def test_a_whole_number_may_have_a_decimal_point(field: str) -> None:
    value = getattr(parse({"prompt": "x", field: 260.0}), field)
    assert value == 260
    assert isinstance(value, int)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_tokens", "60", "max_tokens: must be a whole number, not text: leave the quotes out"),
        ("max_tokens", 1.5, "max_tokens: must be a whole number, not a fraction"),
        ("seed", True, "seed: must be a whole number, not true or false"),
        ("top_k", [5], "top_k: must be a whole number, not a list"),
        ("temperature", "0.7", "temperature: must be a number, not text: leave the quotes out"),
        ("stream", "false", "stream: must be true or false, not text: leave the quotes out"),
        ("stream", None, "stream: must be true or false, not null"),
        ("system", 5, "system: must be text, not a number"),
        ("stop", 5, "stop: must be a list, not a number"),
        ("metadata", "x", "metadata: must be an object, not text"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_what_came_and_what_is_wanted(
    field: str, value: object, message: str
) -> None:
    assert problem({"prompt": "x", field: value}) == message


@pytest.mark.parametrize(("given", "name"), [(1, "1"), (7.0, "7"), (-3, "-3"), (0, "0")])
def test_a_number_is_taken_as_a_name(given: float, name: str) -> None:
    request = parse({"prompt": "x", "id": given, "session": given})
    assert (request.id, request.session) == (name, name)


def test_an_id_of_null_is_none() -> None:
    assert len(parse({"prompt": "x", "id": None}).id) == 16


@pytest.mark.parametrize("end", [b"\0", b"\0\0\0", b" \0", b"\n\0\r\n", b"\t\n"])
def test_what_c_strings_leave_behind_an_object_does_no_harm(end: bytes) -> None:
    assert parse(b'{"prompt": "x"}' + end).prompt == "x"


def test_a_bare_text_ends_before_its_nuls_and_keeps_its_white_space() -> None:
    assert parse(b"hello \n\0\0").prompt == "hello \n"


def test_a_conversation_takes_the_roles_of_openai() -> None:
    turns = [{"role": role, "content": role} for role in ("system", "user", "assistant")]
    assert parse({"messages": turns}).messages == tuple(map(Turn.model_validate, turns))


def test_one_stop_text_needs_no_list() -> None:
    assert parse({"prompt": "x", "stop": "END"}).stop == ("END",)


def test_white_space_before_an_object_does_not_make_it_a_prompt() -> None:
    assert parse(b' \r\n\t{"prompt": "x"}').prompt == "x"


def test_of_a_key_that_comes_twice_the_last_one_counts() -> None:
    assert parse(b'{"prompt": "a", "prompt": "b"}').prompt == "b"


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"{}x",
        b"{hello}",
        b'{"prompt": "x"',
        b'{"prompt": "x",}',
        b'{"prompt": "x"}\0{',
        b'{"prompt": "x"} {"prompt": "y"}',
        b"{'prompt': 'x'}",
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "\\udc00\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"prompt": "a\nb"}',
        b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}",
        b'{"a":' * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"prompt": "x", "metadata": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
    ],
)
def test_what_begins_like_an_object_and_is_none_is_refused_as_broken_json(payload: bytes) -> None:
    assert problem(payload).startswith("Invalid JSON")


@pytest.mark.parametrize("payload", [b"", b" \n\t", b'{"prompt": ""}', b'{"prompt": " \\n"}'])
def test_an_empty_prompt_is_refused(payload: bytes) -> None:
    assert problem(payload) == "the prompt is empty"


@pytest.mark.parametrize(("payload", "place"), [(b"\xff", 0), (b"ab\xe4\xbd", 2), (b"{\xed\xa0\x80}", 1)])
def test_what_is_not_utf8_is_refused_with_its_place(payload: bytes, place: int) -> None:
    assert problem(payload) == f"the payload is not UTF-8: byte {place} can't be read"


def test_a_payload_over_the_limit_is_refused_and_one_of_just_the_limit_is_not() -> None:
    assert parse_prompt(b"x" * 64, limit=64).prompt == "x" * 64
    with pytest.raises(TooLargeError, match=r"65 bytes and the limit is 64.*admission\.payload_bytes"):
        parse_prompt(b"x" * 65, limit=64)
    with pytest.raises(TooLargeError):
        parse_prompt("你".encode() * 22, limit=64)


@pytest.mark.parametrize("payload", [b"{'prompt': 'How warm is it?'}", b" {\n'id': 1, 'prompt': \"it's\"}"])
def test_a_dict_of_python_is_told_from_other_broken_json(payload: bytes) -> None:
    assert "| tojson" in problem(payload)
    assert "| tojson" not in problem(b"{\"prompt\": 'x'}")


def test_an_unknown_field_is_named_wherever_it_stands() -> None:
    assert problem({"prompt": "x", "promt": "y"}) == "unknown field 'promt'"
    assert problem({"messages": [{**QUESTION, "name": "y"}]}) == "unknown field 'messages.0.name'"


def test_a_refusal_names_several_fields_and_repeats_no_value() -> None:
    message = problem({"prompt": 5, "max_tokens": "hunter2", "top_k": -77, "hunter3": 1})
    for field in ("prompt", "max_tokens", "top_k"):
        assert f"{field}: " in message
    assert "hunter2" not in message
    assert "77" not in message


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("id", ["", "a b", "a/b", "a\n", "ä", "a" * 65, 5.5, True, 10**65, ["a"]]),
        ("prompt", [5, ["x"], {"text": "x"}, True]),
        ("messages", [{}, "x", [5], ["x"], [[]], [{"role": "user"}], [{"content": "x"}]]),
        ("system", [5, ["x"]]),
        ("session", ["", "a/b", "a" * 65, 5.5, False]),
        ("resume", [None, 1, "yes"]),
        ("reply_to", [5, ["reply/x"]]),
        ("stream", [None, 0, "false"]),
        ("format", [None, "xml", "TEXT", 5]),
        ("max_tokens", [0, -1, 1_000_001, 1.5, "5", True, 10**400, 1e300, [5]]),
        ("temperature", [-0.1, 5.1, "0", True, 10**400]),
        ("top_k", [-1, 1_000_001, 1.5, "5"]),
        ("top_p", [0, 1.1, -1, "1"]),
        ("min_p", [-0.1, 1.1]),
        ("repeat_penalty", [0, -1, 10.1]),
        ("seed", [-1, 2**32, 0.5, "7"]),
        ("stop", [5, "", [""], "x" * 257, ["a", ""], [5], [None], {"a": 1}, ["a"] * (MAX_STOPS + 1)]),
        ("json_schema", [[], "object", 5, True]),
        ("regex", [5, ["a"], ""]),
        ("choice", [{}, "on,off", [], [""], ["on", "on"], [1, 2], [None], 5]),
        ("grammar", [5, ["root"], ""]),
        ("tools", [[], {}, [5], [{"type": "function"}], [{"type": "x", "function": {"name": "f"}}]]),
        ("max_packet", [0, 255, 256.5, "256", True, 268_435_461]),
        ("end", [None, "long", ["usage"], 5]),
        ("priority", [None, "urgent", 1, "HIGH"]),
        ("timeout_s", [0, -1, 86_401, "60", True]),
        ("metadata", [[], "x", 5, {"a": "x" * MAX_METADATA_BYTES}]),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused_by_its_fields_name(
    field: str, values: list[object]
) -> None:
    for value in values:
        assert problem({"prompt": "x", field: value}).startswith(field), value


@pytest.mark.parametrize("field", ["temperature", "top_p", "min_p", "repeat_penalty", "timeout_s"])
@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_number_that_is_not_finite_is_refused(field: str, value: bytes) -> None:
    assert problem(b'{"prompt": "x", "%b": %b}' % (field.encode(), value)).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "field",
    [
        "messages",
        "system",
        "session",
        "reply_to",
        "max_tokens",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "repeat_penalty",
        "seed",
        "json_schema",
        "regex",
        "choice",
        "grammar",
        "tools",
        "timeout_s",
        "metadata",
        "max_packet",
    ],
)
def test_null_means_as_the_daemon_is_set(field: str) -> None:
    assert getattr(parse({"prompt": "x", field: None}), field) is None


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, "give either prompt or messages"),
        ({"prompt": None}, "give either prompt or messages"),
        ({"prompt": "x", "messages": [QUESTION]}, "give either prompt or messages"),
        ({"messages": []}, "messages hold nothing to answer"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages hold nothing to answer"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages hold nothing to answer"),
        (
            {"system": "a", "messages": [{"role": "system", "content": "b"}, QUESTION]},
            "give the system prompt either as system or in messages",
        ),
        (
            {"session": "s", "messages": [QUESTION]},
            "a session keeps the messages itself: send prompt with it, or as messages the results of tools "
            "and what the user says then, or no session",
        ),
        ({"prompt": "x", "resume": True}, "resume needs a session"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(payload: dict[str, object], message: str) -> None:
    assert problem(payload) == message


def test_a_conversation_may_have_so_many_messages_and_no_more() -> None:
    messages = parse({"messages": [QUESTION] * MAX_MESSAGES}).messages
    assert messages is not None
    assert len(messages) == MAX_MESSAGES
    assert problem({"messages": [QUESTION] * (MAX_MESSAGES + 1)}).startswith("messages: ")


@given(data=st.binary(max_size=60) | st.text(max_size=40).map(lambda text: ("{" + text).encode()))
def test_no_payload_does_anything_but_become_a_request_or_a_refusal(data: bytes) -> None:
    taken = attempt(data, limit=50)
    assert taken if isinstance(taken, str) else taken.prompt == data.decode().rstrip("\0")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(fields=st.dictionaries(st.sampled_from(sorted(PromptRequest.model_fields)), JSON, max_size=5))
def test_no_object_does_anything_but_become_a_request_or_a_refusal_that_names_a_field(
    fields: dict[str, object],
) -> None:
    taken = attempt(json.dumps({"prompt": "x", **fields}).encode(), limit=LIMIT)
    if isinstance(taken, str):
        assert taken.startswith(
            (*fields, "give either", "messages hold", "the prompt", "resume needs", "a session")
        )
    else:
        assert (taken.prompt is None) != (taken.messages is None)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_metadata_that_json_can_not_hold_are_refused(number: str) -> None:
    payload = f'{{"prompt": "x", "metadata": {{"a": {number}}}}}'.encode()
    with pytest.raises(InvalidRequestError, match="metadata"):
        parse_prompt(payload, limit=1000)


def test_metadata_are_measured_in_utf_8() -> None:
    payload = json.dumps({"prompt": "x", "metadata": {"a": "厨" * 1300}}).encode()
    assert parse_prompt(payload, limit=100_000).metadata == {"a": "厨" * 1300}
    with pytest.raises(InvalidRequestError, match="metadata: is limited to 4096 bytes"):
        parse_prompt(json.dumps({"prompt": "x", "metadata": {"a": "厨" * 1400}}).encode(), limit=100_000)
