"""Calls of tools in the client library: in order and complete, typed, and what goes back."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.client import (
    Answer,
    AnswerFormatError,
    Called,
    Chunk,
    Done,
    Restarted,
    Timings,
    ToolCall,
    Usage,
    tool,
)
from edgeassist.client.answers import AnswerStream, AnyEvent
from edgeassist.client.reading import WireEvent
from edgeassist.errors import Code
from edgeassist.protocol import tools
from edgeassist.protocol.events import Failed
from edgeassist.protocol.requests import PromptRequest

Said = tuple[str | Called, ...]


def called(index: int, id_: str = "", arguments: str = '{"on":true}') -> Called:
    return Called(
        id="r", seq=0, index=index, tool_call_id=id_ or f"id{index}", name="set_relay", arguments=arguments
    )


def run(*said: str | Called) -> list[WireEvent]:
    """Return a whole answer of these texts and calls."""
    events: list[WireEvent] = []
    for seq, each in enumerate(said):
        if isinstance(each, str):
            events.append(Chunk(id="r", seq=seq, text=each))
        else:
            events.append(each.model_copy(update={"seq": seq}))
    return [*events, done(len(said), *said)]


def done(seq: int, *said: str | Called) -> Done:
    calls = [each for each in said if isinstance(each, Called)]
    return Done(
        id="r",
        seq=seq,
        text="".join(each for each in said if isinstance(each, str)),
        finish_reason="tool_calls" if calls else "stop",
        tool_calls=[
            tools.ToolCall(
                id=call.tool_call_id or "",
                function=tools.CalledFunction(name=call.name or "", arguments=call.arguments),
            )
            for call in calls
        ],
        usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1),
        timings=Timings(queue_ms=0, prefill_ms=0, decode_ms=0, total_ms=0),
        model="m",
        device="box",
    )


def feed(stream: AnswerStream, events: Sequence[WireEvent]) -> list[AnyEvent]:
    return [each for event in events for each in stream.take(event)]


def held(events: Sequence[AnyEvent]) -> tuple[str, list[str | None]]:
    """Return the text, and the ids of the calls, that are valid for a caller after these events."""
    text: str = ""
    ids: list[str | None] = []
    for event in events:
        if isinstance(event, Restarted):
            text, ids = "", []
        elif isinstance(event, Chunk):
            text += event.text
        elif isinstance(event, Called):
            ids.append(event.tool_call_id)
    return text, ids


def test_calls_pass_as_they_came() -> None:
    events = run("I do.", called(0), called(1))
    assert feed(AnswerStream(), events) == events


def test_calls_after_a_gap_come_right_before_the_end() -> None:
    events = run("I ", "do.", called(0), called(1))
    yielded = feed(AnswerStream(), [events[0], *events[2:]])
    assert [each.type for each in yielded] == ["chunk", "chunk", "tool_call", "tool_call", "done"]
    assert held(yielded) == ("I do.", ["id0", "id1"])
    lost = feed(AnswerStream(), [*events[:2], events[-1]])
    assert [each.type for each in lost] == ["chunk", "chunk", "tool_call", "tool_call", "done"]


def test_an_answer_without_a_stream_has_its_calls_in_the_end_only() -> None:
    (end,) = feed(AnswerStream(), [done(0, called(0))])
    assert isinstance(end, Done)
    assert [call.name for call in Answer.of(end).tool_calls] == ["set_relay"]


def test_a_repeated_end_brings_no_call_twice() -> None:
    events = run(called(0), called(1))
    stream = AnswerStream()
    first = feed(stream, events[:1])
    stream.repeated()
    assert held([*first, *stream.take(events[-1])]) == ("", ["id0", "id1"])


def test_calls_of_a_second_run_void_those_of_the_first() -> None:
    stream = AnswerStream()
    first = feed(stream, run("I do.", called(0))[:-1])
    stream.repeated()
    second = feed(stream, run("I do.", called(0, "other")))
    assert [each.type for each in second] == ["restarted", "chunk", "tool_call", "done"]
    assert held([*first, *second]) == ("I do.", ["other"])


def test_a_failure_leaves_the_calls_that_were_made() -> None:
    stream = AnswerStream()
    yielded = feed(stream, run("I do.", called(0))[:-1])
    for text in ("I do.", ""):
        failed = Failed(
            id="r", seq=2, code=Code.INTERNAL, message="no", retryable=False, text=text, device="b"
        )
        assert stream.take(failed) == [failed]
    assert held(yielded) == ("I do.", ["id0"])


WORDS = st.sampled_from("ab")
ANSWERS = st.lists(WORDS, max_size=3).flatmap(
    lambda texts: st.integers(0, 3).map(lambda count: (*texts, *(called(at) for at in range(count))))
)


@given(first=ANSWERS, second=ANSWERS, cut=st.integers(0, 6), lost=st.sets(st.integers(0, 6)))
def test_whatever_is_lost_a_caller_has_text_and_calls_of_the_run_that_ended(
    first: Said, second: Said, cut: int, lost: set[int]
) -> None:
    stream = AnswerStream()
    yielded = feed(stream, run(*first)[:-1][:cut])
    stream.repeated()
    events = run(*second)
    yielded += feed(stream, [each for each in events[:-1] if each.seq not in lost] + events[-1:])
    end = events[-1]
    assert isinstance(end, Done)
    unstreamed = not any(isinstance(each, Chunk | Called) for each in yielded)
    assert yielded[-1] == end
    if not unstreamed:
        assert held(yielded) == (end.text, [call.id for call in end.tool_calls])


# --- values ------------------------------------------------------------------------------------------------


def test_an_answer_has_its_calls_with_their_arguments_by_name() -> None:
    answer = Answer.of(done(1, "I do.", called(0, arguments='{"text":"你","n":[1]}')))
    assert answer.tool_calls == (ToolCall("id0", "set_relay", {"text": "你", "n": [1]}),)
    assert (answer.finish_reason, answer.text) == ("tool_calls", "I do.")
    assert Answer.of(done(1, "Well")).tool_calls == ()


@pytest.mark.parametrize("arguments", ["[]", '{"on":', ""])
def test_arguments_that_are_no_object_are_an_error_of_the_answer(arguments: str) -> None:
    with pytest.raises(AnswerFormatError, match="set_relay is called with what is no JSON object"):
        Answer.of(done(1, called(0, arguments=arguments)))


def test_an_answer_and_its_results_go_on_as_messages() -> None:
    answer = Answer.of(done(1, "I do.", called(0), called(1)))
    one, two = answer.tool_calls
    messages = [
        {"role": "user", "content": "x"},
        answer.message(),
        one.result("on"),
        two.result({"on": True, "room": "厨"}),
    ]
    request = PromptRequest.model_validate_json(json.dumps({"messages": messages}))
    assert request.messages is not None
    assert [(turn.role, turn.content) for turn in request.messages] == [
        ("user", "x"),
        ("assistant", "I do."),
        ("tool", "on"),
        ("tool", '{"on": true, "room": "厨"}'),
    ]
    assert Answer.of(done(1, "Well")).message() == {"role": "assistant", "content": "Well"}


def test_a_tool_is_written_as_a_request_takes_it() -> None:
    offered = [tool("beep"), tool("set_relay", "Switches.", {"type": "object"})]
    request = PromptRequest.model_validate_json(json.dumps({"prompt": "x", "tools": offered}))
    assert request.tools is not None
    assert [each.function.parameters for each in request.tools] == [None, {"type": "object"}]
    assert [each.function.description for each in request.tools] == ["", "Switches."]
