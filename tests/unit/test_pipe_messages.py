import inspect
import types
import typing
from collections.abc import Iterator
from functools import cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine import messages
from edgeassist.engine.messages import (
    Cancel,
    ChatMessage,
    Command,
    Delta,
    Event,
    Sampling,
    Start,
    decode_command,
    decode_event,
    encode,
)

COMMANDS = typing.get_args(Command)
EVENTS = typing.get_args(Event)
# What JSON can carry and a pipe of lines could stumble over.
TEXT = st.text(max_size=20) | st.sampled_from(["\n", "\r\n", "\u2028", "\0"])

PLAIN = {
    str: TEXT,
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
}


@cache
def values(kind: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Return values of a field's type."""
    if kind in PLAIN:
        return PLAIN[kind]
    if typing.get_origin(kind) is tuple:
        return st.lists(values(typing.get_args(kind)[0]), max_size=3).map(tuple)
    if typing.get_origin(kind) is types.UnionType:
        return st.one_of(*map(values, typing.get_args(kind)))
    if issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return st.builds(kind, **{field.name: values(field.type) for field in fields})
    return st.from_type(kind)


def message_classes() -> Iterator[type[msgspec.Struct]]:
    for _, kind in inspect.getmembers(messages, inspect.isclass):
        if issubclass(kind, messages._Message) and kind is not messages._Message:
            yield kind


@pytest.mark.parametrize("kind", [*message_classes()], ids=lambda kind: kind.__name__)
def test_every_message_belongs_to_one_direction(kind: type[msgspec.Struct]) -> None:
    assert (kind in COMMANDS) != (kind in EVENTS)


@pytest.mark.parametrize("kind", [*message_classes()], ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_message_arrives_as_it_was_sent_in_one_line(
    kind: type[msgspec.Struct], data: st.DataObject
) -> None:
    message = data.draw(values(kind))
    line = encode(message)
    assert line.index(b"\n") == len(line) - 1
    decode = decode_command if kind in COMMANDS else decode_event
    assert decode(line) == message


@pytest.mark.parametrize("kind", [*message_classes()], ids=lambda kind: kind.__name__)
def test_no_message_can_be_changed(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


def test_every_message_has_a_kind_of_its_own() -> None:
    tags = [kind.__struct_config__.tag for kind in message_classes()]
    assert len(tags) == len(set(tags)) == len(COMMANDS) + len(EVENTS)


def test_what_has_its_default_is_not_written() -> None:
    line = encode(Start("1", (ChatMessage("user", "x"),), Sampling(), 5))
    assert msgspec.json.decode(line) == {
        "type": "start",
        "id": "1",
        "messages": [{"role": "user", "content": "x"}],
        "sampling": {},
        "max_tokens": 5,
    }


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"hello",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'"stop"',
        b"null",
        b'{"type":"stop"',
        b'{"type":"stop"} {"type":"stop"}',
        b'{"type":"dance"}',
        b'{"type":null}',
        b'{"type":"cancel"}',
        b'{"type":"cancel","id":5}',
        b'{"type":"cancel","id":"\xff"}',
        b'{"type":"start","id":"1","messages":[{"role":"user"}],"sampling":{},"max_tokens":5}',
        b'{"type":"start","id":"1","messages":[],"sampling":{"temperature":"hot"},"max_tokens":5}',
        b'{"type":"start","id":"1","messages":[],"sampling":{},"max_tokens":5.5}',
    ],
)
def test_a_line_that_is_no_command_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_command(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"llama_decode: failed\n",
        b"{}",
        b'{"type":"delta","id":"1"}',
        b'{"type":"delta","id":"1","text":null}',
        b'{"type":"log","level":"LOUD","logger":"x","message":"y"}',
        b'{"type":"finished","id":"1","reason":"bored","prompt_tokens":1,"cached_tokens":0,'
        b'"completion_tokens":1,"prefill_ms":1,"decode_ms":1}',
    ],
)
def test_a_line_that_is_no_event_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_event(line)


def test_a_command_is_no_event_and_an_event_no_command() -> None:
    with pytest.raises(ValueError, match="Invalid value"):
        decode_event(encode(Cancel("1")))
    with pytest.raises(ValueError, match="Invalid value"):
        decode_command(encode(Delta("1", "x")))
