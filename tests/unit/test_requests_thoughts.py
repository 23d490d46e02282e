"""Thoughts on their way to a requester: apart from the text, bounded, and the first to be left out."""

import json
from typing import Any

import pytest

from edgeassist.client.answers import AnswerStream, AnyEvent, Restarted
from edgeassist.client.pending import MOST_WAITING, Events
from edgeassist.client.result import Answer
from edgeassist.engine.messages import Delta, DeltaKind, Finish, Finished, Thinking
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.gateways.mqtt.replies import Replies, ReplyOptions
from edgeassist.protocol.asking import End, ReplyFormat
from edgeassist.protocol.events import MAX_REASONING, Chunk, Done, Reasoning
from edgeassist.protocol.fitting import fitted
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.job import thinking_of
from edgeassist.serving.stream import Stream
from tests.unit.conftest import PACE, Hear, ListLink, MakeHouse

THOUGHT = DeltaKind.THOUGHT
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def finished(job: str = "1", *, thoughts: int = 4, tokens: int = 6) -> Finished:
    return Finished(job, Finish.STOP, 10, 4, tokens, 20, 50, reasoning_tokens=thoughts)


def finish(stream: Stream, *, thoughts: int = 4, tokens: int = 6) -> Done:
    return stream.done(finished(thoughts=thoughts, tokens=tokens), model="m", session=None, now=101.0)


def kinds(hear: Any) -> list[str]:
    return [f"{event['type']} {event.get('text', '')}".strip() for event in hear.events]


def test_thoughts_go_out_as_events_of_their_own_before_the_text(hear: Hear) -> None:
    heard = hear()
    for thought, now in (("Let", 100.0), (" me", 100.01), (" see.", 100.02)):
        heard.stream.think(thought, now)
    heard.stream.add("Yes", 100.03)
    heard.stream.add(".", 100.035)
    done = finish(heard.stream)
    assert kinds(heard) == ["reasoning Let", "reasoning  me see.", "chunk Yes", "chunk .", "done Yes."]
    assert [event["seq"] for event in heard.events] == list(range(5))
    assert (done.text, done.reasoning, done.only_reasoning) == ("Yes.", "Let me see.", None)
    assert done.usage.reasoning_tokens == 4


def test_thoughts_are_gathered_like_text_and_wait_for_a_congested_sink(hear: Hear) -> None:
    heard = hear()
    heard.stream.think("a", 100.0)
    heard.stream.think("b", 100.01)
    assert kinds(heard) == ["reasoning a"]
    assert heard.stream.next_flush(100.02) == pytest.approx(100.05)
    heard.stream.flush_due(100.051)
    assert kinds(heard) == ["reasoning a", "reasoning b"]
    heard.sink.congested = True
    heard.stream.think("c", 100.3)
    assert heard.stream.next_flush(100.3) == pytest.approx(100.35)
    heard.sink.congested = False
    heard.stream.flush_due(100.36)
    assert kinds(heard)[2:] == ["reasoning c"]
    assert heard.stream.next_flush(100.4) is None


def test_a_sink_for_bare_text_and_one_without_stream_hear_no_thoughts(hear: Hear) -> None:
    for heard in (hear(wants_progress=False), hear(chunks=False)):
        heard.stream.think("Let me see.", 100.0)
        heard.stream.add("Yes", 100.1)
        finish(heard.stream)
        assert "reasoning" not in {event["type"] for event in heard.events}
        assert heard.stream.next_flush(100.2) is None


def test_the_thoughts_in_the_end_are_bounded_and_the_events_are_not(hear: Hear) -> None:
    heard = hear()
    for at in range(200):
        heard.stream.think("x" * 100, 100.0 + at)
    done = finish(heard.stream)
    assert done.reasoning == "x" * MAX_REASONING
    assert sum(len(event.text) for event in heard.sink.events if isinstance(event, Reasoning)) == 20_000


def test_an_answer_of_nothing_but_thoughts_says_so(hear: Hear) -> None:
    heard = hear()
    heard.stream.think("Let me see", 100.0)
    done = finish(heard.stream, tokens=4)
    assert (done.text, done.only_reasoning) == ("", True)
    assert Answer.of(done).only_reasoning
    assert json.loads(fitted(done, None, short=True))["only_reasoning"] is True
    other = hear()
    assert finish(other.stream, thoughts=0).only_reasoning is None
    assert "only_reasoning" not in other.events[-1]


def test_a_request_that_only_thought_starts_again_with_the_next_engine(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask("x")
    house.say(Delta(house.engine.starts[0].id, "Hm", THOUGHT))
    house.requests.engines.lost("it died", planned=False)
    house.ready()
    job = house.engine.starts[1].id
    house.say(Delta(job, "Well", THOUGHT))
    house.finish(job, "yes")
    end = house.heard(request)[-1]
    assert (end["type"], end["text"], end["reasoning"]) == ("done", "yes", "Well")


def test_a_session_remembers_the_text_without_the_thoughts(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask("one", session="s")
    job = house.engine.starts[0].id
    house.say(Delta(job, "Hm", THOUGHT))
    house.finish(job, "first")
    house.ask("two", session="s")
    assert [each.content for each in house.engine.starts[1].messages] == ["one", "first", "two"]


@pytest.mark.parametrize(
    ("fields", "default", "told"),
    [
        ({}, (None, None), (None, None)),
        ({}, (False, 90), (False, 90)),
        ({"think": True}, (False, 90), (True, 90)),
        ({"think": False}, (True, None), (False, None)),
        ({"think": "auto"}, (False, None), (None, None)),
        ({"reasoning_budget": 5}, (None, 90), (None, 5)),
        ({"reasoning_budget": 0}, (True, 90), (False, 0)),
        ({"think": "auto", "reasoning_budget": 7}, (False, None), (None, 7)),
        # A bound answer comes at once, unless thoughts are asked for by name.
        ({"choice": ["a"]}, (None, 90), (False, 90)),
        ({"choice": ["a"], "reasoning_budget": 7}, (None, 90), (False, 7)),
        ({"choice": ["a"]}, (False, None), (False, None)),
        ({"choice": ["a"]}, (True, None), (True, None)),
        ({"choice": ["a"], "reasoning_budget": 0}, (True, None), (False, 0)),
        ({"choice": ["a"], "think": True}, (None, None), (True, None)),
        ({"choice": ["a"], "think": "auto"}, (False, None), (None, None)),
        ({"choice": ["a"], "think": False}, (True, None), (False, None)),
        # One with tools doesn't: whether to call, and what, is worth a thought.
        ({"tools": TOOLS}, (None, 90), (None, 90)),
        ({"tools": TOOLS, "think": False}, (True, None), (False, None)),
    ],
)
def test_the_engine_is_told_what_the_request_says_or_else_the_settings(
    fields: dict[str, Any], default: tuple[bool | None, int | None], told: tuple[bool | None, int | None]
) -> None:
    assert thinking_of(PromptRequest(prompt="x", **fields), Thinking(*default)) == Thinking(*told)


# --- over MQTT ---------------------------------------------------------------------------------------------


def answer(
    link: ListLink, to: ReplyTo, *, thought: str = "t" * 300, text: str = "Yes"
) -> list[dict[str, Any]]:
    """Return what is published of an answer with thoughts, as JSON; a bare text as its text."""
    sink = Replies("a", to, ReplyOptions(1024, 0, 1), cancel="c", link=link)
    stream = Stream("a", sink, pace=PACE, device="box", arrived=100.0, chunks=to.stream)
    stream.think(thought, 100.1)
    stream.add(text, 100.2)
    finish(stream)
    payloads = [message.payload for message in link.published]
    return [json.loads(each) if each.startswith(b"{") else {"bare": each.decode()} for each in payloads]


def test_bare_text_comes_without_thoughts_and_so_does_its_end() -> None:
    said = answer(ListLink(), ReplyTo("r", format=ReplyFormat.TEXT))
    assert [each.get("bare") for each in said] == ["Yes", "", None]
    assert "reasoning" not in said[-1]
    assert said[-1]["usage"]["reasoning_tokens"] == 4


@pytest.mark.parametrize("stream", [True, False])
def test_a_small_packet_leaves_out_the_thoughts_first(*, stream: bool) -> None:
    whole = answer(ListLink(), ReplyTo("r", stream=stream))[-1]
    assert whole["reasoning"] == "t" * 300
    size = len(json.dumps(whole, separators=(",", ":"))) - 100
    said = answer(ListLink(), ReplyTo("r", stream=stream, max_packet=size))
    assert said[-1] == {key: value for key, value in whole.items() if key != "reasoning"} | {
        "seq": said[-1]["seq"]
    }
    # The end has the text, so no chunk had to say it.
    assert [each["type"] for each in said].count("chunk") == stream


@pytest.mark.parametrize("said", [0, 9_999_000])
def test_no_packet_with_thoughts_is_larger_than_a_client_takes(
    monkeypatch: pytest.MonkeyPatch, said: int
) -> None:
    link = ListLink()
    sink = Replies("a", ReplyTo("r", max_packet=256), ReplyOptions(1024, 0, 1), cancel="c", link=link)
    stream = Stream("a", sink, pace=PACE, device="box", arrived=100.0)
    # Numbers of many digits take room, too.
    monkeypatch.setattr(stream, "_seq", said)
    stream.think('"\n' * 300, 100.1)
    assert len(link.published) > 4
    sizes = [len(message.payload) + 1 + 2 + 2 + len(message.topic) + 2 + 1 for message in link.published]
    assert max(sizes) <= 256


def test_a_broker_that_takes_no_thoughts_in_the_end_gets_the_text() -> None:
    link = ListLink(most_bytes=600)
    end = answer(link, ReplyTo("r"), thought="t" * 900)[-1]
    assert (end["type"], end["text"]) == ("done", "Yes")
    assert "reasoning" not in end
    tiny = ListLink(most_bytes=600)
    assert answer(tiny, ReplyTo("r"), thought="t" * 900, text="y" * 900)[-1]["code"] == "too_large"


def test_a_short_end_has_no_thoughts() -> None:
    assert "reasoning" not in answer(ListLink(), ReplyTo("r", end=End.SHORT))[-1]


# --- in the client -----------------------------------------------------------------------------------------


def test_a_client_passes_thoughts_on_and_makes_up_the_text_only() -> None:
    stream = AnswerStream()
    thought = Reasoning(id="r", seq=0, text="Hm")
    events: list[AnyEvent] = stream.take(thought)
    events += stream.take(Chunk(id="r", seq=3, text="lost before"))
    assert events == [thought]
    assert not isinstance(events[0], Restarted)


async def test_a_slow_caller_gets_longer_thoughts() -> None:
    waiting = Events()
    for seq in range(3 * MOST_WAITING):
        waiting.put(Reasoning(id="r", seq=seq, text="x"))
    for seq in range(3):
        waiting.put(Chunk(id="r", seq=seq, text="y"))
    assert len(waiting) == MOST_WAITING + 1
    texts = [await waiting.get() for _ in range(len(waiting))]
    said = "".join(each.text for each in texts if isinstance(each, Reasoning | Chunk))
    assert said == "x" * 3 * MOST_WAITING + "yyy"
