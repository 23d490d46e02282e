"""Calls of tools on their way to a requester, and back as a session's history."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from edgeassist.engine.messages import (
    ChatMessage,
    Choice,
    Delta,
    DeltaKind,
    Finish,
    Finished,
    Start,
    Tool,
    ToolCall,
    Tools,
)
from edgeassist.gateways.homeassistant.endings import answer_message
from edgeassist.protocol.events import Called, Done, parse_event
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.job import tools_of
from tests.unit.conftest import Hear, House, MakeHouse

ID = re.compile(r"^[a-z0-9]{9}$")
RELAY = {"type": "function", "function": {"name": "set_relay", "parameters": {"type": "object"}}}
ON = '{"on":true}'


def call(house: House, job: str, name: str = "set_relay", arguments: str = ON) -> None:
    """Let the engine call a tool."""
    written = msgspec.json.encode(ToolCall(name, arguments)).decode()
    house.say(Delta(job, written, DeltaKind.TOOL_CALL))


def finish(house: House, job: str, reason: Finish = Finish.TOOL_CALLS) -> None:
    house.say(Finished(job, reason, 3, 0, 2, prefill_ms=5, decode_ms=5))


def answered(house: House, *names: str, text: str = "", **fields: Any) -> list[str]:
    """Let a request be answered with a text and calls of these tools; return their ids."""
    request = house.ask(tools=[RELAY], **fields)
    job = house.engine.starts[-1].id
    if text:
        house.say(Delta(job, text))
    for name in names:
        call(house, job, name)
    finish(house, job)
    return [each["id"] for each in house.heard(request)[-1]["tool_calls"]]


def result(id_: str, content: str = "ok") -> dict[str, str]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def said(start: Start) -> list[str]:
    """Return a conversation in short."""
    return [
        f"{each.role} {each.content}{''.join(f' [{call.name}]' for call in each.calls)}"
        for each in start.messages
    ]


# --- what the engine is told -------------------------------------------------------------------------------


def test_the_engine_is_told_of_tools_as_the_client_wrote_them() -> None:
    request = PromptRequest.model_validate(
        {
            "prompt": "x",
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "a", "description": "d", "parameters": {"properties": {}}},
                },
                {"type": "function", "function": {"name": "b"}},
                {"type": "function", "function": {"name": "c", "parameters": {}, "strict": True}},
            ],
        }
    )
    assert tools_of(request) == Tools((Tool("a", "d", '{"properties":{}}'), Tool("b"), Tool("c")))
    assert tools_of(PromptRequest(prompt="x")) is None


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, (Choice.AUTO, "")),
        ("auto", (Choice.AUTO, "")),
        ("none", (Choice.NONE, "")),
        ("required", (Choice.REQUIRED, "")),
        ({"type": "function", "function": {"name": "set_relay"}}, (Choice.REQUIRED, "set_relay")),
    ],
)
def test_the_engine_is_told_which_tools_are_called(choice: object, expected: tuple[Choice, str]) -> None:
    fields = {"prompt": "x", "tools": [RELAY], "tool_choice": choice}
    told = tools_of(PromptRequest.model_validate(fields))
    assert told is not None
    assert (told.choice, told.only) == expected
    assert told.parallel
    alone = tools_of(PromptRequest.model_validate({**fields, "parallel_tool_calls": False}))
    assert alone is not None
    assert not alone.parallel


def test_calls_and_results_of_a_conversation_reach_the_engine(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    calls = [{"id": "c1", "function": {"name": "set_relay", "arguments": {"on": True}}}]
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        result("c1", "done"),
    ]
    house.receive(json.dumps({"id": "m", "messages": messages, "tools": [RELAY]}).encode())
    (start,) = house.engine.starts
    assert start.messages == (
        ChatMessage("user", "x"),
        ChatMessage("assistant", "", (ToolCall("set_relay", ON, "c1"),)),
        ChatMessage("tool", "done", call_id="c1"),
    )
    assert start.tools == Tools((Tool("set_relay", "", '{"type":"object"}'),))
    assert (start.first, start.droppable) == (0, 0)


def test_a_model_that_can_not_be_bound_refuses_tools_at_once(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(constrains=False)
    request = house.ask(tools=[RELAY])
    assert house.error(request) == "unsupported"
    assert "can't be held to tools" in house.heard(request)[-1]["message"]
    assert house.engine.starts == []


# --- events ------------------------------------------------------------------------------------------------


def test_a_call_goes_out_at_once_behind_the_text_that_waits(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask(tools=[RELAY])
    job = house.engine.starts[0].id
    for text in ("I ", "do ", "it."):
        house.say(Delta(job, text))
    call(house, job)
    call(house, job, "beep", "{}")
    assert house.types(request) == ["accepted", "chunk", "chunk", "tool_call", "tool_call"]
    finish(house, job)
    *_, one, two, end = house.heard(request)
    assert [event["seq"] for event in house.heard(request)] == list(range(6))
    assert one | {"tool_call_id": "", "seq": 0} == {
        "id": request,
        "seq": 0,
        "type": "tool_call",
        "index": 0,
        "tool_call_id": "",
        "name": "set_relay",
        "arguments": ON,
    }
    assert (two["index"], two["name"], two["arguments"]) == (1, "beep", "{}")
    assert (end["text"], end["finish_reason"]) == ("I do it.", "tool_calls")
    assert end["tool_calls"] == [
        {"id": one["tool_call_id"], "type": "function", "function": {"name": "set_relay", "arguments": ON}},
        {"id": two["tool_call_id"], "type": "function", "function": {"name": "beep", "arguments": "{}"}},
    ]


def test_ids_of_calls_are_nine_letters_and_digits_that_nobody_can_know_before(hear: Hear) -> None:
    ids = set()
    for _ in range(20):
        heard = hear()
        for _ in range(50):
            heard.stream.call("f", "{}", 100.1)
        ids |= {each.id for each in heard.stream.calls}
    assert len(ids) == 1000
    assert all(map(ID.match, ids))


def test_thoughts_and_a_call_are_not_nothing_but_thoughts(hear: Hear) -> None:
    heard = hear()
    heard.stream.think("Hm", 100.0)
    heard.stream.call("f", "{}", 100.1)
    end = Finished("1", Finish.TOOL_CALLS, 10, 4, 6, 20, 50, reasoning_tokens=4)
    done = heard.stream.done(end, model="m", session=None, now=101.0)
    assert [event["type"] for event in heard.events] == ["reasoning", "tool_call", "done"]
    assert (done.only_reasoning, done.reasoning, done.text) == (None, "Hm", "")
    assert done.timings.ttft_ms == 100
    assert [parse_event(event.payload()) for event in heard.sink.events] == heard.sink.events


def test_without_streaming_calls_are_in_the_end_only(hear: Hear) -> None:
    heard = hear(chunks=False)
    heard.stream.call("f", "{}", 100.1)
    assert not heard.stream.began
    assert [len(each["tool_calls"]) for each in map(json.loads, [heard.done().payload()])] == [1]
    assert [event["type"] for event in heard.events] == ["done"]


def test_a_request_whose_call_has_gone_out_does_not_run_again(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    streams, waits = house.ask(tools=[RELAY]), house.ask(tools=[RELAY], stream=False)
    call(house, house.engine.starts[0].id)
    house.requests.engines.lost("it died", planned=False)
    assert house.error(streams) == "engine_crashed"
    house.ready()
    job = house.engine.starts[1].id
    call(house, job)
    house.requests.engines.lost("it died", planned=False)
    house.ready()
    job = house.engine.starts[2].id
    call(house, job)
    finish(house, job)
    (end,) = house.heard(waits)
    assert len(end["tool_calls"]) == 1


def test_home_assistant_is_told_of_an_answer_with_calls(hear: Hear) -> None:
    heard = hear()
    heard.stream.call("f", "{}", 100.1)
    end = Finished("1", Finish.TOOL_CALLS, 10, 4, 6, 20, 50)
    told = answer_message("x", heard.stream.done(end, model="m", session=None, now=101.0))
    assert (told["event_type"], told["finish_reason"], told["text"]) == ("answered", "tool_calls", "")


# --- the same request twice --------------------------------------------------------------------------------


def test_a_repeat_gets_the_same_calls_with_the_same_ids(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    ids = answered(house, "set_relay", id="r")
    answered_again = house.ask(id="r", tools=[RELAY])
    first, second = [event for event in house.heard(answered_again) if event["type"] == "done"]
    assert second == {**first, "repeat": True}
    assert [each["id"] for each in second["tool_calls"]] == ids
    assert len(house.engine.starts) == 1


def test_a_repeat_with_a_short_end_gets_the_calls_before_it(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask(id="r", tools=[RELAY], end="short")
    job = house.engine.starts[0].id
    call(house, job)
    finish(house, job)
    first = house.heard("r")[-2]
    house.ask(id="r", tools=[RELAY], end="short")
    again, end = house.heard("r")[-2:]
    assert again == {**first, "seq": 0, "repeat": True}
    assert (end["type"], end["seq"]) == ("done", 1)


# --- sessions ----------------------------------------------------------------------------------------------


def test_a_session_goes_on_with_results(make_house: MakeHouse) -> None:
    house = make_house(system="Be brief.")
    house.ready()
    answered(house, "set_relay", session="s", prompt="before")
    one, two = answered(house, "set_relay", "beep", session="s", prompt="on", text="I do.")
    messages = [result(two, "beeped"), result(one, "on"), {"role": "user", "content": "and?"}]
    request = house.ask(None, session="s", messages=messages, tools=[RELAY])
    start = house.engine.starts[-1]
    assert said(start) == [
        "system Be brief.",
        "user before",
        "assistant ",
        "user on",
        "assistant I do. [set_relay] [beep]",
        "tool beeped",
        "tool on",
        "user and?",
    ]
    assert [each.call_id for each in start.messages[5:7]] == [two, one]
    assert [each.id for each in start.messages[4].calls] == [one, two]
    assert (start.first, start.droppable) == (5, 2)
    house.finish(start.id, "It is on.")
    assert house.heard(request)[-1]["session"] == "s"
    house.ask("thanks", session="s")
    assert said(house.engine.starts[-1])[-2:] == ["assistant It is on.", "user thanks"]
    assert house.engine.starts[-1].droppable == 8


def test_calls_without_results_are_left_out_when_the_user_goes_on(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    (id_,) = answered(house, "set_relay", session="s", prompt="on", text="I do.")
    house.ask("thanks", session="s")
    assert said(house.engine.starts[-1]) == ["user on", "assistant I do.", "user thanks"]
    house.finish(house.engine.starts[-1].id, "Welcome")
    late = house.ask(None, session="s", messages=[result(id_)])
    assert house.heard(late)[-1]["message"] == (
        f"messages.0.tool_call_id: {id_!r} is no call of the session's last answer: "
        "it called nothing, or has the results already"
    )


def test_results_that_are_not_those_of_the_last_answer_are_refused_when_it_is_known(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready()
    one, two = answered(house, "set_relay", "beep", session="s")
    unknown = house.ask(None, session="s", messages=[result(one), result("c")])
    assert house.heard(unknown)[-1]["message"] == (
        f"messages.1.tool_call_id: 'c' is no call of the session's last answer: it called {one}, {two}"
    )
    lacks = house.ask(None, session="s", messages=[result(one)])
    assert house.types(lacks) == ["accepted", "error"]
    assert house.heard(lacks)[-1]["message"] == (
        f"messages: a result is missing, of {two} (beep): send a message of the role tool, with tool_call_id "
        "and content, for every call"
    )
    nothing = house.ask(None, session="new", messages=[result(one)])
    assert house.heard(nothing)[-1]["message"].startswith("the session 'new' is not known")
    assert len(house.engine.starts) == 1
    # None of them has changed the session, or kept its slot.
    house.ask(None, session="s", messages=[result(one), result(two)])
    assert len(house.engine.starts) == 2


def test_results_wait_for_the_answer_that_they_belong_to(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(slots=2)
    house.ask("on", session="s", tools=[RELAY])
    early = house.ask(None, session="s", messages=[result("guess")])
    assert house.types(early) == ["accepted"]
    job = house.engine.starts[0].id
    call(house, job)
    finish(house, job)
    assert house.types(early) == ["accepted", "error"]
    house.ask("next")
    assert len(house.engine.starts) == 2


def test_an_exchange_with_calls_is_forgotten_as_a_whole(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    (id_,) = answered(house, "set_relay", session="s", prompt="first")
    for _ in range(3):
        house.ask(None, session="s", messages=[result(id_)], tools=[RELAY])
        job = house.engine.starts[-1].id
        call(house, job)
        finish(house, job)
        heard = house.heard(f"r{len(house.engine.starts)}")
        id_ = heard[-1]["tool_calls"][0]["id"]
    for number in range(House.policy.bounds.turns):
        house.ask(f"q{number}", session="s")
        start = house.engine.starts[-1]
        assert said(start)[0] == "user first"
        house.finish(start.id, "a")
    house.ask("last", session="s")
    assert said(house.engine.starts[-1])[0] == "user q0"


def test_results_of_a_session_that_was_forgotten_meanwhile_begin_none(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    (id_,) = answered(house, "set_relay", session="s")
    house.ask(None, session="s", messages=[result(id_)], timeout_s=3000)
    house.clock.now += 1000
    house.finish(house.engine.starts[-1].id, "late")
    house.ask("new", session="s")
    assert said(house.engine.starts[-1]) == ["user new"]


def test_an_answer_to_results_that_failed_leaves_the_calls_open(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    (id_,) = answered(house, "set_relay", session="s")
    request = house.ask(None, session="s", messages=[result(id_)])
    house.requests.cancel(request)
    house.requests.engines.lost("it died", planned=False)
    house.ready()
    house.ask(None, session="s", messages=[result(id_)])
    assert said(house.engine.starts[-1])[-1] == "tool ok"


def test_a_done_with_calls_is_read_back_as_it_was(hear: Hear) -> None:
    heard = hear()
    heard.stream.call("f", '{"a":"你"}', 100.1)
    done = heard.done()
    again = parse_event(done.payload())
    assert isinstance(again, Done)
    assert again == done
    assert isinstance(heard.sink.events[0], Called)
