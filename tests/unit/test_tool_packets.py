"""Calls of tools in packets of a small client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from edgeassist.engine.messages import Finish, Finished
from edgeassist.errors import InvalidRequestError
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.gateways.mqtt.replies import MOST_PARTS, Replies, ReplyOptions
from edgeassist.protocol import tools
from edgeassist.protocol.asking import End
from edgeassist.protocol.fitting import call_bytes, call_events, fitted
from edgeassist.serving.stream import Stream
from tests.unit.conftest import PACE, Hear, ListLink, MakeHouse

ON = '{"on":true}'
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n'), min_size=1, max_size=300)


@given(
    text=TEXT,
    most=st.integers(0, 400),
    name=st.text("n", min_size=1, max_size=64),
    id_=st.text("i", max_size=64),
)
def test_a_call_is_cut_between_characters_into_events_that_fit(
    text: str, most: int, name: str, id_: str
) -> None:
    whole = tools.ToolCall(id="x" * 9, function=tools.CalledFunction(name=name, arguments=text))
    most += call_bytes(name) + len(id_)
    events = call_events(id_, 9_999_000, 9_999, whole, most)
    assert "".join(event.arguments for event in events) == text
    assert all(len(event.payload()) <= most for event in events)
    assert [event.seq for event in events] == list(range(9_999_000, 9_999_000 + len(events)))
    assert {event.index for event in events} == {9_999}
    assert [event.more for event in events] == [True] * (len(events) - 1) + [None]
    assert [(event.tool_call_id, event.name) for event in events] == [
        ("x" * 9, name),
        *[(None, None)] * (len(events) - 1),
    ]


def packet_bytes(topic: str, payload: bytes) -> int:
    return 1 + 2 + 2 + len(topic) + 2 + 1 + len(payload)


def small(link: ListLink, **to: Any) -> Stream:
    place = ReplyTo("reply/r", max_packet=256, **to)
    sink = Replies("a", place, ReplyOptions(1024, 0, 1), cancel="c", link=link)
    return Stream("a", sink, pace=PACE, device="box", arrived=100.0, chunks=place.stream)


def joined(link: ListLink) -> list[str]:
    """Return the arguments of the calls that were published, put together as a client does."""
    calls: list[str] = []
    for event in map(json.loads, [each.payload for each in link.published]):
        if event["type"] == "tool_call":
            if "name" in event:
                calls.append("")
            calls[event["index"]] += event["arguments"]
    return calls


@pytest.mark.parametrize("stream", [True, False])
def test_a_small_client_gets_every_call_in_packets_that_it_takes(*, stream: bool) -> None:
    link = ListLink()
    answer = small(link, stream=stream)
    long = to_json({"text": '"你好"\n' * 60}).decode()
    answer.add("Well", 100.0)
    for arguments in (ON, long, "{}"):
        answer.call("set_relay", arguments, 100.1)
    end = Finished("1", Finish.TOOL_CALLS, 10, 4, 6, 20, 50)
    answer.done(end, model="m", session=None, now=101.0)
    assert joined(link) == [ON, long, "{}"]
    assert all(packet_bytes(each.topic, each.payload) <= 256 for each in link.published)
    events = [json.loads(each.payload) for each in link.published]
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[0]["text"] == "Well"
    assert (events[-1]["finish_reason"], "tool_calls" in events[-1]) == ("tool_calls", False)


def test_an_end_that_can_carry_the_calls_of_an_unstreamed_answer_is_all_there_is() -> None:
    link = ListLink()
    sink = Replies("a", ReplyTo("r", stream=False), ReplyOptions(1024, 0, 1), cancel="c", link=link)
    answer = Stream("a", sink, pace=PACE, device="box", arrived=100.0, chunks=False)
    answer.call("f", ON, 100.1)
    answer.done(Finished("1", Finish.TOOL_CALLS, 10, 4, 6, 20, 50), model="m", session=None, now=101.0)
    (end,) = [json.loads(each.payload) for each in link.published]
    assert len(end["tool_calls"]) == 1


@pytest.mark.parametrize("fields", [{"end": End.SHORT}, {}])
def test_calls_that_the_end_has_not_come_before_it_once(fields: dict[str, Any]) -> None:
    link = ListLink()
    answer = small(link, stream=False, **fields)
    answer.call("set_relay", ON, 100.1)
    answer.done(Finished("1", Finish.TOOL_CALLS, 10, 4, 6, 20, 50), model="m", session=None, now=101.0)
    assert [json.loads(each.payload)["type"] for each in link.published] == ["tool_call", "done"]


def test_calls_that_take_too_many_messages_at_once_are_an_error() -> None:
    link = ListLink()
    answer = small(link, stream=False)
    answer.call("set_relay", json.dumps({"text": "x" * 200 * MOST_PARTS}), 100.1)
    answer.done(Finished("1", Finish.TOOL_CALLS, 10, 4, 6, 20, 50), model="m", session=None, now=101.0)
    (end,) = [json.loads(each.payload) for each in link.published]
    assert (end["type"], end["code"]) == ("error", "too_large")


def test_an_end_with_calls_that_the_broker_does_not_take_has_an_error_in_its_place() -> None:
    link = ListLink(most_bytes=400)
    sink = Replies("a", ReplyTo("r", stream=False), ReplyOptions(1024, 0, 1), cancel="c", link=link)
    answer = Stream("a", sink, pace=PACE, device="box", arrived=100.0, chunks=False)
    answer.call("f", json.dumps({"text": "x" * 500}), 100.1)
    answer.done(Finished("1", Finish.TOOL_CALLS, 10, 4, 6, 20, 50), model="m", session=None, now=101.0)
    end = json.loads(link.published[-1].payload)
    assert (end["code"], "512 bytes" in end["message"]) == ("too_large", True)


def test_a_packet_that_the_name_of_a_tool_does_not_fit_into_is_refused() -> None:
    # Topic, id and the longest name together have 109 bytes, the most that there is room for.
    place = ReplyTo("reply/" + "t" * 74, max_packet=256)
    place.check("i" * 20, ["n" * 9, "n"])
    with pytest.raises(
        InvalidRequestError, match="a shorter id or reply_to, shorter names of tools, or a larger"
    ):
        place.check("i" * 20, ["n", "n" * 10])
    with pytest.raises(InvalidRequestError, match="a shorter id or reply_to, or a larger"):
        place.check("i" * 94)


def test_a_request_with_such_a_name_is_refused_in_the_clients_size(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    for name, kind in (("n" * 9, "accepted"), ("n" * 64, "error")):
        tool = {"type": "function", "function": {"name": name}}
        request = house.ask(tools=[tool], reply_to="reply/" + "t" * 74, max_packet=256)
        assert house.types(request) == [kind]
    assert len(house.published[-1].payload) + len(house.published[-1].topic) <= 248


def test_a_short_end_has_no_calls(hear: Hear) -> None:
    heard = hear()
    heard.stream.call("f", "{}", 100.1)
    assert "tool_calls" not in json.loads(fitted(heard.done(), None, short=True))
