import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.asking import MIN_PACKET_BYTES, End, ReplyFormat
from edgeassist.protocol.requests import parse_prompt
from edgeassist.protocol.salvage import MAX_BYTES, MAX_TOKENS, Address, salvage

BROKEN = Address(max_packet=MIN_PACKET_BYTES)


def test_the_address_of_a_request_that_is_json_is_all_there() -> None:
    fields = {"id": "7", "reply_to": "reply/x", "format": "text", "max_packet": 300, "end": "short"}
    assert salvage(json.dumps({**fields, "promt": 5}).encode()) == Address(
        id="7", reply_to="reply/x", format=ReplyFormat.TEXT, max_packet=300, end=End.SHORT
    )
    assert salvage(b'{"id": "7"}') == Address(id="7")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"id": "7", "prompt": "x", "reply_to": "reply/x",}',
        b"{'id': '7', 'prompt': 'x', 'reply_to': 'reply/x'}",
        b'{"id": "7", "reply_to": "reply/x", "prompt": "cut o',
        b'{"id": "7", "reply_to": "reply/x", "max_tokens": 6',
        b'{"id": "7" "reply_to": "reply/x" "prompt": "no commas"}',
        b'{id: "7", prompt: "names without quotes", reply_to: "reply/x"}',
        b'{"prompt": "say "hello" now", "id": "7", "reply_to": "reply/x"}',
        b'{"prompt": "two\nlines", "id": "7", "reply_to": "reply/x"}',
        b'{"prompt": "caf\xe9", "id": "7", "reply_to": "reply/x"}',
        b'{"prompt": "it\'s", "id": 7, "reply_to": "reply\\/x",}',
        b'{"id": "7", "reply_to": "reply/x", "prompt": "x"}\0left from before',
        b' \xef\xbb\xbf{"id": "7", "reply_to": "reply/x", "prompt": "x",}'[1:],
        b'{"metadata": {"id": "8", "reply_to": "reply/y"}, "id": "7", "reply_to": "reply/x",}',
        b'{"messages": [{"id": "8"}], "id": "6", "id": "7", "reply_to": "reply/x",}',
    ],
)
def test_broken_json_still_tells_where_to_answer(payload: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        parse_prompt(payload, limit=1000)
    assert salvage(payload) == Address(id="7", reply_to="reply/x", max_packet=MIN_PACKET_BYTES)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        b"\xff",
        b"[]",
        b"5",
        b'"id"',
        b'{"id": "7',
        b'{"id": 12',
        b'{"id": "\xff7",',
        b'{"reply_to": "reply/caf\xe9",',
        b'{"a": {"id": "7"},',
        b'{"id": {"id": "7"},',
        b'{"id": null,',
        b'{"prompt": "x", "id"',
        b'x {"id": "7"}',
        b'{"prompt": "x"} {"id": "7"}',
        b'{"a":' * 10_000,
    ],
)
def test_what_can_not_be_made_out_is_not_guessed_and_answered_as_if_to_a_small_client(payload: bytes) -> None:
    assert salvage(payload) == BROKEN


@pytest.mark.parametrize(
    "fields",
    [
        {"id": [5], "reply_to": 5},
        {"id": "a/b"},
        {"id": "a\n"},
        {"id": ""},
        {"id": None},
        {"format": "xml"},
        {"end": 5},
    ],
)
def test_what_has_no_meaning_in_an_address_is_left_out(fields: dict[str, object]) -> None:
    assert salvage(json.dumps(fields).encode()) == Address()


@pytest.mark.parametrize("size", [1, 255, "256", 256.5, True, -1])
def test_a_packet_size_that_is_refused_is_answered_in_the_smallest(size: object) -> None:
    assert salvage(json.dumps({"id": "7", "max_packet": size}).encode()) == Address(
        id="7", max_packet=MIN_PACKET_BYTES
    )


def test_a_number_that_python_can_not_hold_does_no_harm() -> None:
    payload = b'{"id": "7", "seed": ' + b"9" * (sys.get_int_max_str_digits() + 1) + b"}"
    assert salvage(payload).id == "7"


def test_a_long_broken_text_is_read_up_to_a_limit() -> None:
    assert salvage(b'{"id": "7",' + b"," * MAX_TOKENS + b' "id": "8",').id == "7"
    assert salvage(b'{"id": "7", "prompt": "' + b"x" * MAX_BYTES + b'", "id": "8",').id == "7"


@given(data=st.binary(max_size=60) | st.text("{}[]:,'\"\\ aid7", max_size=60).map(str.encode))
def test_no_payload_does_anything_but_become_an_address(data: bytes) -> None:
    assert isinstance(salvage(data), Address)
    assert isinstance(salvage(b"{" + data), Address)


@given(
    fields=st.dictionaries(st.sampled_from(["id", "reply_to", "format", "x"]), st.text(max_size=8)),
    cut=st.data(),
)
def test_a_text_that_was_cut_off_says_nothing_that_the_whole_does_not(
    fields: dict[str, Any], cut: Any
) -> None:
    whole = json.dumps({**fields, "last": 1}).encode()
    part = salvage(whole[: cut.draw(st.integers(0, len(whole) - 1))])
    told = part.model_dump(exclude={"max_packet"}, exclude_defaults=True)
    assert told.items() <= salvage(whole).model_dump().items()
