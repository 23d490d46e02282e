"""The integration reads an answer's events as the Python client does, whatever is lost or comes twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.edgeassist import events as theirs
from custom_components.edgeassist.known import read_info
from edgeassist.client.answers import AnswerStream
from edgeassist.client.reading import read_event
from edgeassist.protocol.capabilities import capabilities
from edgeassist.protocol.state import PROTOCOL_VERSION
from tests.wire.fixtures import FOLDER as FIXTURES


def wire(kind: str, seq: int, **fields: Any) -> dict[str, Any]:
    return {"id": "r", "seq": seq, "type": kind, **fields}


def done(seq: int, text: str, calls: list[str]) -> dict[str, Any]:
    return wire(
        "done",
        seq,
        text=text,
        finish_reason="tool_calls" if calls else "stop",
        tool_calls=[
            {"id": call, "type": "function", "function": {"name": "f", "arguments": "{}"}} for call in calls
        ],
        usage={"prompt_tokens": 3, "cached_tokens": 1, "completion_tokens": 2},
        timings={"queue_ms": 1, "prefill_ms": 1, "decode_ms": 1, "total_ms": 3},
        model="m",
        device="box",
    )


def failed(seq: int, text: str) -> dict[str, Any]:
    return wire(
        "error", seq, code="engine_crashed", message="it died", retryable=True, text=text, device="box"
    )


@st.composite
def answers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One answer as the box says it, from `accepted` to its end."""
    events = [wire("accepted", 0, device="box", model="m", position=0)]
    text = ""
    calls: list[str] = []
    for seq in range(1, draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["chunk", "chunk", "reasoning", "progress", "tool_call", "news"]))
        match kind:
            case "chunk":
                piece = draw(st.sampled_from(["a", "b"]))
                text += piece
                events.append(wire(kind, seq, text=piece))
            case "reasoning":
                events.append(wire(kind, seq, text="hm"))
            case "progress":
                events.append(wire(kind, seq, processed=1, cached=0, total=4))
            case "tool_call":
                call = draw(st.sampled_from(["one", "two"]))
                events.append(wire(kind, seq, index=len(calls), tool_call_id=call, name="f", arguments="{}"))
                calls.append(call)
            case _:
                events.append(wire(kind, seq))
    end = done(len(events), text, calls) if draw(st.booleans()) else failed(len(events), text)
    return [*events, end]


def of_client(event: Any) -> tuple[Any, ...]:
    """What the client gives, in the words in which both are compared."""
    match event.type:
        case "chunk" | "reasoning":
            return event.type, event.text
        case "tool_call":
            return event.type, event.tool_call_id, event.name, event.arguments
        case "done":
            return event.type, event.text, event.finish_reason, tuple(call.id for call in event.tool_calls)
        case "error":
            return event.type, event.code.value, event.message, event.text
        case kind:
            return (kind,)


def of_integration(event: theirs.Event) -> tuple[Any, ...]:
    match event:
        case theirs.Chunk():
            return "chunk", event.text
        case theirs.Reasoning():
            return "reasoning", event.text
        case theirs.Called():
            return "tool_call", event.call, event.name, event.arguments
        case theirs.Done():
            return "done", event.text, event.finish_reason, tuple(call.call for call in event.calls)
        case theirs.Failed():
            return "error", event.code, event.message, event.text
        case _:
            return (type(event).__name__.lower(),)


@given(runs=st.lists(answers(), min_size=1, max_size=3), data=st.data())
def test_it_gives_what_the_client_gives_over_losses_repeats_and_a_second_run(
    runs: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    client, integration = AnswerStream(), theirs.AnswerStream()
    for number, run in enumerate(runs):
        # A box that begins anew by itself says `accepted` again.
        if number and data.draw(st.booleans()):
            client.repeated()
            integration.repeated()
        heard = data.draw(
            st.lists(st.sampled_from(range(len(run))), max_size=8).map(sorted)
            if number < len(runs) - 1
            else st.just(range(len(run)))
        )
        for index in heard:
            payload = json.dumps(run[index]).encode()
            ours = theirs.read_event(payload)
            assert ours is not None
            expected = [of_client(event) for event in client.take(read_event(payload))]
            assert [of_integration(event) for event in integration.take(ours)] == expected


def recorded() -> list[dict[str, Any]]:
    """All events in the recorded sessions of tests/wire."""
    found = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            if {"id", "seq", "type"} <= value.keys():
                found.append(value)
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    for path in sorted(FIXTURES.rglob("*.json")):
        collect(json.loads(path.read_text()))
    return found


def test_every_recorded_event_is_read() -> None:
    events = recorded()
    assert len(events) > 100
    whole = [event for event in events if event["type"] != "done" or "tool_calls" in event]
    for event in whole:
        read = theirs.read_event(json.dumps(event))
        assert read is not None
        if event["type"] in {"done", "error", "chunk"} and not event.get("more"):
            assert of_integration(read)[0] == event["type"], event


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"id": "r", "type": "done"}', b'"done"', b"\xff"])
def test_what_is_no_event_is_none(payload: bytes) -> None:
    assert theirs.read_event(payload) is None


def test_an_end_that_can_not_be_read_is_a_failure() -> None:
    read = theirs.read_event(json.dumps(wire("done", 4, text=3)))
    assert isinstance(read, theirs.Failed)
    assert read.code == "internal"


def test_info_is_read_with_what_the_model_can_do() -> None:
    document = {
        "version": "0.1.0",
        "protocol": PROTOCOL_VERSION,
        "device": "box",
        "capabilities": capabilities(constrains=False).model_dump(),
        "model": {"name": "m", "context": 4096, "thinks": True, "decides": False},
        "settings": {},
    }
    info = read_info(json.dumps(document))
    assert info is not None
    assert info.understood
    assert (info.model, info.context, info.thinks) == ("m", 4096, True)
    assert info.takes("temperature")
    assert not info.takes("tools")


def test_a_short_info_of_a_small_broker_rules_nothing_out() -> None:
    info = read_info('{"version":"0.1.0","protocol":1,"device":"box","cut":true}')
    assert info is not None
    assert info.takes("tools")
    assert info.model is None


@pytest.mark.parametrize("payload", ["", "online", "[]", '{"device": "box"}', '{"protocol": true}'])
def test_what_is_no_info_is_none(payload: str) -> None:
    assert read_info(payload) is None


DEEP = "[" * 200_000


@pytest.mark.parametrize(
    ("payload", "is_event"),
    [
        (DEEP, False),
        ('{"a":' * 200_000, False),
        ('{"id": "r", "seq": 0, "type": ["done"]}', True),
        ('{"id": "r", "seq": 0, "type": {}}', True),
        ('{"id": "r", "seq": 0, "type": "accepted", "position": Infinity}', True),
    ],
)
def test_whatever_somebody_else_publishes_is_read_without_an_error(payload: str, is_event: bool) -> None:  # noqa: FBT001
    event = theirs.read_event(payload)
    assert (type(event) is theirs.Event) if is_event else event is None
    assert read_info(payload) is None


@pytest.mark.parametrize(
    "call",
    [
        {"id": 1, "function": {"name": "f", "arguments": "{}"}},
        {"id": "a", "function": {"name": ["f"], "arguments": "{}"}},
        {"id": "a", "function": {"name": "f", "arguments": {}}},
    ],
)
def test_an_end_with_calls_that_are_none_is_a_failure(call: dict[str, Any]) -> None:
    assert isinstance(theirs.read_event(json.dumps({**done(3, "", []), "tool_calls": [call]})), theirs.Failed)


def test_answers_that_are_no_object_are_none() -> None:
    event = theirs.read_event(json.dumps({**done(3, "", []), "answers": [1]}))
    assert isinstance(event, theirs.Done)
    assert event.answers is None


def test_the_name_of_a_model_is_no_longer_than_a_registry_has_room_for() -> None:
    info = read_info(json.dumps({"protocol": 1, "model": {"name": "x" * 100_000}}))
    assert info is not None
    assert info.model == "x" * 255
