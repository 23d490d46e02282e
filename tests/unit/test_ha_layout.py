"""What the integration puts first, so that a box has read it already, and a chat log as messages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from custom_components.edgeassist.events import Called
from custom_components.edgeassist.failures import Failure
from custom_components.edgeassist.layout import Layout, compact, in_order, without
from custom_components.edgeassist.messages import (
    MAX_MESSAGES,
    Written,
    arguments_of,
    halved_results,
    messages_of,
    questions,
    wire_name,
)
from custom_components.edgeassist.options import model_fields
from custom_components.edgeassist.pending import Request
from custom_components.edgeassist.reaching import note_unreached
from edgeassist.protocol.turns import Turn, check_results

NINE = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
HOME = "You are a voice assistant.\n- names: Kitchen light"
# As Home Assistant says it.
AREA = (
    "You are in area Kitchen (floor Ground) and all generic commands like 'turn on the lights' should "
    "target this area."
)
ASK = (
    "When a user asks to turn on all devices of a specific type, ask the user to specify an area, unless "
    "there is only one device of that type."
)
NO_TIMERS = "This device is not able to start timers."
CLOCK = "Current time is 09:00:00. Today's date is 2026-11-29."


@dataclass
class Content:
    """An entry of a chat log, as Home Assistant has it."""

    role: str
    content: str | None = None
    created: datetime = NINE
    tool_calls: list[Any] | None = None
    native: Any = None
    more: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name in self.more:
            return self.more[name]
        raise AttributeError(name)


def result(call: str, data: dict[str, Any], *, old: bool = False) -> Content:
    named: dict[str, Any] = {"tool_result": data} if old else {"result": SimpleNamespace(data=data)}
    return Content("tool_result", more={"tool_call_id": call, **named})


def done(success: list[tuple[str, str]], failed: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    """The result of an intent."""
    lists = {
        name: [{"name": each, "type": kind, "id": "x"} for each, kind in targets]
        for name, targets in (("success", success), ("failed", failed or []))
    }
    return {"speech": {}, "response_type": "action_done", "data": {"targets": [], **lists}}


def called(name: str, call: str, arguments: str) -> Content:
    taken = SimpleNamespace(id=call, tool_name=name, tool_args=json.loads(arguments))
    return Content("assistant", tool_calls=[taken], native=Written({call: arguments}, {call: name}))


def said(*contents: Content, prompt: str = HOME, turns: int | None = None) -> list[dict[str, Any]]:
    log = [Content("system", prompt), *contents]
    return messages_of(log, Layout(prompt), lambda time: time, turns=turns)


@pytest.mark.parametrize("lines", [[AREA], [AREA, NO_TIMERS], [ASK, NO_TIMERS], []])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_the_system_prompt_is_the_same_for_all_satellites(lines: list[str], where: int) -> None:
    home = HOME.split("\n")
    prompt = "\n".join([*home[:where], *lines, *home[where:]])
    layout = Layout(prompt)
    assert layout.system == HOME
    assert layout.place == "\n".join(lines)


def test_what_an_automation_adds_for_one_conversation_is_no_part_of_the_system_prompt() -> None:
    layout = Layout(
        f"{HOME}\n{NO_TIMERS}\nAsk whether the garage may be closed.", "Ask whether the garage may be closed."
    )
    assert layout.system == HOME
    assert layout.place == f"{NO_TIMERS}\nAsk whether the garage may be closed."


def test_the_time_stands_in_front_of_every_question_as_it_was_when_it_was_asked() -> None:
    prompt = f"{HOME}\n{AREA}\n{CLOCK}\n"
    log = [
        Content("user", "Hello"),
        Content("assistant", "Hi"),
        Content("user", "And now?", NINE + timedelta(hours=1)),
    ]
    first, again = said(log[0], prompt=prompt), said(*log, prompt=prompt)
    assert again[:2] == first
    assert first[0] == {"role": "system", "content": HOME}
    assert first[1]["content"] == f"{AREA}\nIt is 09:00 on Sunday, 2026-11-29.\n\nHello"
    assert again[3]["content"] == "It is 10:00 on Sunday, 2026-11-29.\n\nAnd now?"


def test_a_line_that_is_not_known_stays_where_it_is() -> None:
    assert Layout(f"{HOME}\nYou are in a hurry.").system == f"{HOME}\nYou are in a hurry."


def test_tools_that_only_some_satellites_have_are_the_last() -> None:
    names = ["b__B", "intent__HassStartTimer", "intent__HassCancelAllTimers", "HassTimerStatus", "a__A"]
    ordered = in_order(names, lambda name: name)
    assert ordered == [
        "a__A",
        "b__B",
        "intent__HassCancelAllTimers",
        "HassTimerStatus",
        "intent__HassStartTimer",
    ]
    without_timers = [name for name in ordered if "StartTimer" not in name and "Status" not in name]
    assert ordered[: len(without_timers)] == without_timers


def test_a_tool_is_told_without_what_says_nothing_and_in_one_order() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {},
            "level": {
                "allOf": [{"type": "integer"}, {"type": "number", "minimum": 0}],
                "description": "How bright",
            },
            "either": {"allOf": [{"type": "string"}, {"type": "number"}]},
            "many": {"type": "array", "items": {"type": "object", "required": []}},
            "step": {"anyOf": [{"type": "string", "enum": ["up", "down"]}, {"enum": [2, 1]}]},
        },
        "required": [],
        "additionalProperties": False,
    }
    assert compact(schema) == {
        "type": "object",
        "properties": {
            "title": {},
            "level": {"type": "integer", "minimum": 0, "description": "How bright"},
            "either": {"allOf": [{"type": "string"}, {"type": "number"}]},
            "many": {"type": "array", "items": {"type": "object"}},
            "step": {"anyOf": [{"type": "string", "enum": ["down", "up"]}, {"enum": [2, 1]}]},
        },
    }


def test_only_what_is_not_required_is_left_out() -> None:
    schema = {"properties": {"floor": {}, "area": {}, "name": {}}, "required": ["area"]}
    assert without(schema, {"floor", "area"})["properties"] == {"area": {}, "name": {}}
    assert without({}, {"floor"})["properties"] == {}


@pytest.mark.parametrize("old", [True, False])
def test_calls_go_back_as_they_were_written_and_results_of_old_and_new_releases_too(old: bool) -> None:  # noqa: FBT001
    written = '{"name":"灯", "area": ""}'
    log = [Content("user", "On"), called("TurnOn", "c1", written), result("c1", {"success": ["灯"]}, old=old)]
    assert said(*log)[2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "TurnOn", "arguments": written}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": '{"success": ["灯"]}'},
    ]


def test_what_home_assistant_writes_into_a_result_later_does_not_change_the_conversation() -> None:
    data = done([("Lamp", "entity")])
    log = [Content("user", "On"), called("TurnOn", "c1", "{}"), result("c1", data)]
    before = said(*log)
    data["speech"] = {"plain": {"speech": "It is on."}}
    after = said(*log, Content("assistant", "It is on."), Content("user", "Thanks"))
    assert after[: len(before)] == before


def test_a_result_with_words_of_its_own_keeps_them() -> None:
    log = [
        Content("user", "?"),
        called("Ask", "c1", "{}"),
        result("c1", {"speech": {"plain": {"speech": "Five."}}}),
    ]
    assert "Five." in said(*log)[-1]["content"]


def unreached(data: dict[str, Any]) -> dict[str, Any]:
    """Note that nothing of it was reached."""
    note_unreached(data, {each["id"] for each in data["data"]["success"]})
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"error": "MatchFailedError", "error_text": "No such light"}, "Error: No such light"),
        ({"error": "MatchFailedError"}, '{"error": "MatchFailedError"}'),
        ({"success": True, "result": "Live Context: on"}, "Live Context: on"),
        ({"success": False, "result": "?"}, '{"success": false, "result": "?"}'),
        (done([("Kitchen", "area"), ("Lamp", "entity"), ("灯", "entity")]), "Done: Lamp, 灯."),
        (done([("Kitchen", "area")]), "Done: Kitchen."),
        (done([("Lamp", "entity")], [("Fan", "entity")]), "Done: Lamp. Failed: Fan."),
        (unreached(done([("Lamp", "entity")])), "Failed: Lamp (unavailable)."),
        (done([]), "Done."),
        ({"time": "09:00", "when": NINE}, f'{{"time": "09:00", "when": "{NINE}"}}'),
    ],
)
def test_a_result_is_told_in_its_words(data: dict[str, Any], words: str) -> None:
    log = [Content("user", "?"), called("Ask", "c1", "{}"), result("c1", data)]
    assert said(*log)[-1]["content"] == words


def test_an_answer_without_words_is_left_out() -> None:
    assert said(Content("user", "Hm"), Content("assistant"))[-1]["content"] == "Hm"


def test_arguments_that_say_nothing_are_not_passed_on() -> None:
    call = Called(
        "r", 1, "c1", "TurnOn", '{"name": "Lamp", "area": "", "floor": null, "on": false, "level": 0}'
    )
    assert arguments_of(call) == {"name": "Lamp", "on": False, "level": 0}


def test_only_the_last_questions_are_told_with_what_belongs_to_them() -> None:
    log = [each for n in range(5) for each in (Content("user", f"q{n}"), Content("assistant", f"a{n}"))]
    assert questions(log) == 5
    told = said(*log, prompt=f"{HOME}\n{AREA}", turns=2)
    assert [message["content"] for message in told[2:]] == ["a3", "q4", "a4"]
    assert told[1]["content"] == f"{AREA}\n\nq3"


def test_a_request_never_has_more_messages_than_it_may() -> None:
    log = [each for n in range(200) for each in (Content("user", f"q{n}"), Content("assistant", f"a{n}"))]
    for length in (2, MAX_MESSAGES - 2, MAX_MESSAGES, 400):
        told = said(*log[:length])
        assert len(told) <= MAX_MESSAGES
        assert told[1]["role"] == "user"
        assert told[-1]["content"] == log[length - 1].content
    # What is left out then stays so for a while.
    starts = [said(*log[:length])[1]["content"] for length in range(301, 361, 2)]
    assert len(set(starts)) == 2


def test_what_is_recommended_wins_over_what_was_chosen_before() -> None:
    chosen = {"recommended": False, "think": "on", "max_tokens": 50.0, "temperature": 0}
    assert model_fields(chosen) == {"think": True, "max_tokens": 50, "temperature": 0.0}
    assert model_fields({**chosen, "think": "auto"})["think"] == "auto"
    assert model_fields({**chosen, "recommended": True}) == model_fields({})


def test_a_call_without_a_result_gets_one_so_that_the_box_goes_on() -> None:
    calls = [SimpleNamespace(id=each, tool_name="f", tool_args={}) for each in ("a", "b", "c")]
    log = [
        Content("system", HOME),
        Content("user", "Both."),
        Content("assistant", tool_calls=calls[:2]),
        result("b", {"success": True, "result": "yes"}),
        Content("user", "And now?"),
        Content("assistant", tool_calls=calls[2:]),
    ]
    told = [
        (message["tool_call_id"], message["content"]) if message["role"] == "tool" else message["role"]
        for message in messages_of(log, Layout(HOME), lambda when: when)
    ]
    lacks = "Error: it has no result."
    assert told == [
        *("system", "user", "assistant", ("b", "yes"), ("a", lacks), "user", "assistant", ("c", lacks)),
    ]
    check_results([Turn.model_validate(each) for each in messages_of(log, Layout(HOME), lambda when: when)])


@pytest.mark.parametrize("name", ["script.a_b", "x" * 100, "größe", ""])
def test_a_call_goes_back_under_the_name_that_the_box_knows(name: str) -> None:
    call = Called("r", 0, "a", "as_told", "{}")
    made = [SimpleNamespace(id="a", tool_name=name, tool_args={})]
    for native, told in ((Written.of([call]), "as_told"), (None, wire_name(name))):
        log = [
            Content("system", HOME),
            Content("user", "Do it."),
            Content("assistant", tool_calls=made, native=native),
        ]
        message = messages_of(log, Layout(HOME), lambda when: when)[2]
        assert message["tool_calls"][0]["function"]["name"] == told
        Turn.model_validate(message)


def test_a_long_result_is_cut_only_as_far_as_it_has_to_be() -> None:
    log = [
        Content("system", HOME),
        Content("user", "Tell me."),
        Content("assistant", tool_calls=[SimpleNamespace(id="a", tool_name="f", tool_args={})]),
        result("a", {"success": True, "result": "x" * 9_000}),
    ]
    lengths = []
    most: int | None = None
    while True:
        messages = messages_of(log, Layout(HOME), lambda when: when, most=most)
        lengths.append(messages[-1]["content"].count("x"))
        if (most := halved_results(messages)) is None:
            break
        assert lengths[0] == 9_000
    assert lengths == sorted(lengths, reverse=True)
    assert 500 < lengths[-1] < 2_000
    assert "it had 9000 characters" in messages[-1]["content"]


@pytest.mark.parametrize("arguments", ['{"a":', "[1]", "null", '"x"', "[" * 100_000])
def test_arguments_that_are_none_are_a_failure_and_not_guessed(arguments: str) -> None:
    with pytest.raises(Failure):
        arguments_of(Called("r", 0, "a", "f", arguments))


def test_half_a_character_in_arguments_can_be_published_and_shown() -> None:
    arguments = arguments_of(Called("r", 0, "a", "f", r'{"name": "a\ud83d", "\ude00": ["\ud83d\ude00"]}'))
    assert arguments == {"name": "a?", "?": ["😀"]}


def test_a_result_with_keys_that_json_has_not_is_told_all_the_same() -> None:
    log = [
        Content("system", HOME),
        Content("user", "Tell me."),
        Content("assistant", tool_calls=[SimpleNamespace(id="a", tool_name="f", tool_args={})]),
        result("a", {NINE: "tea"}),  # type: ignore[dict-item]
    ]
    assert "tea" in messages_of(log, Layout(HOME), lambda when: when)[-1]["content"]


def test_half_a_character_in_a_request_does_not_stop_it() -> None:
    request = Request.of({"prompt": "a\ud83d"}, "t", "prompt", 5.0)
    assert json.loads(request.payload.encode())["prompt"] == "a?"
