import json
from collections.abc import Callable
from typing import Any

import pytest

from edgeassist.engine.messages import Finish, Finished
from edgeassist.errors import BusyError, InternalError
from edgeassist.protocol.events import parse_event
from edgeassist.protocol.requests import ReplyFormat
from edgeassist.serving.relay import ReplyTo

# Of conftest's fixture `hear`.
Hear = Callable[..., Any]


def text_format(*, stream: bool = True) -> ReplyTo:
    return ReplyTo("reply/a", b"tag", ReplyFormat.TEXT, stream)


def test_an_answer_is_numbered_without_gaps_and_goes_to_one_place_with_its_correlation(hear: Hear) -> None:
    heard = hear()
    heard.relay.accepted(model="m", position=2, cancel="box/command/cancel")
    heard.relay.started(100.1)
    heard.relay.progress(processed=4, cached=0, total=10, now=100.2)
    heard.relay.piece("Hello", 100.3)
    heard.relay.piece(" world, and all who live in it", 100.31)
    heard.done(100.5)
    assert [event["type"] for event in heard.events] == [
        "accepted",
        "progress",
        "chunk",
        "chunk",
        "chunk",
        "done",
    ]
    assert [event["seq"] for event in heard.events] == list(range(6))
    assert {event["id"] for event in heard.events} == {"a"}
    assert {(message.topic, message.correlation) for message in heard.messages} == {("reply/a", b"\x00tag")}
    assert not any(message.retain for message in heard.messages)
    assert [message.qos for message in heard.messages] == [0, 0, 0, 0, 0, 1]


def test_the_end_tells_text_usage_and_timings(hear: Hear) -> None:
    heard = hear()
    heard.relay.started(100.1)
    heard.relay.piece("Hello", 100.25)
    heard.relay.piece(" you", 100.26)
    heard.done(100.5)
    last = heard.events[-1]
    assert last["text"] == "Hello you"
    assert last["finish_reason"] == "stop"
    assert last["usage"] == {"prompt_tokens": 10, "cached_tokens": 4, "completion_tokens": 3}
    assert last["timings"] == {
        "queue_ms": 100,
        "prefill_ms": 20,
        "ttft_ms": 250,
        "decode_ms": 50,
        "total_ms": 500,
        "overhead_ms": 1.5,
        "prefill_tokens_per_s": 300,
        "decode_tokens_per_s": 40,
    }
    assert (last["model"], last["device"], last["session"], last["history_dropped"]) == ("m", "box", "s", 2)


def test_the_metadata_of_a_request_come_back_as_they_were(hear: Hear) -> None:
    heard = hear()
    heard.relay.accepted(model="m", position=0, cancel="c")
    heard.done()
    assert [event["metadata"] for event in heard.events] == [{"room": None, "n": 1}] * 2


def test_the_events_of_an_answer_are_read_back_as_they_were_said(hear: Hear) -> None:
    heard = hear()
    heard.relay.accepted(model="m", position=0, cancel="c")
    heard.relay.progress(processed=4, cached=0, total=10, now=100.2)
    heard.relay.piece("你好", 100.3)
    heard.done()
    for message in heard.messages:
        assert parse_event(message.payload).payload() == message.payload


def test_what_is_not_known_stays_out_of_the_events_and_they_can_still_be_read(hear: Hear) -> None:
    heard = hear()
    heard.relay.accepted(model=None, position=0, cancel="c")
    heard.relay.done(Finished("1", Finish.STOP, 10, 10, 1, 0, 0), model="m", session=None, now=101.0)
    accepted, done = heard.events
    assert "model" not in accepted
    assert {"ttft_ms", "prefill_tokens_per_s", "decode_tokens_per_s"}.isdisjoint(done["timings"])
    assert [parse_event(message.payload).id for message in heard.messages] == ["a", "a"]


def test_an_error_tells_code_message_and_what_was_produced(hear: Hear) -> None:
    heard = hear()
    heard.relay.piece("so far", 100.0)
    heard.relay.failed(BusyError("come back later", retry_after_ms=900), 100.1)
    last = heard.events[-1]
    assert last == {
        "type": "error",
        "id": "a",
        "seq": 1,
        "code": "busy",
        "message": "come back later",
        "retryable": True,
        "retry_after_ms": 900,
        "text": "so far",
        "device": "box",
        "metadata": {"room": None, "n": 1},
    }
    assert heard.messages[-1].qos == 1
    assert heard.relay.ended


def test_without_streaming_only_the_end_is_said(hear: Hear) -> None:
    heard = hear(ReplyTo("reply/a", stream=False))
    heard.relay.accepted(model="m", position=0, cancel="c")
    heard.relay.progress(processed=1, cached=0, total=9, now=100.0)
    heard.relay.piece("all ", 100.1)
    heard.relay.piece("of it", 100.9)
    assert heard.relay.next_flush() is None
    heard.done()
    (only,) = heard.events
    assert (only["type"], only["seq"], only["text"]) == ("done", 0, "all of it")


def test_bare_text_ends_with_an_empty_payload_and_the_event_beside_it(hear: Hear) -> None:
    heard = hear(text_format())
    heard.relay.accepted(model="m", position=0, cancel="c")
    heard.relay.progress(processed=1, cached=0, total=9, now=100.0)
    heard.relay.piece("Hello", 100.1)
    heard.relay.piece(" you", 100.11)
    heard.done()
    assert [(message.topic, message.payload) for message in heard.messages[:-1]] == [
        ("reply/a", b"Hello"),
        ("reply/a", b" you"),
        ("reply/a", b""),
    ]
    last = heard.messages[-1]
    assert last.topic == "reply/a/end"
    event = json.loads(last.payload)
    assert (event["type"], event["seq"], event["text"]) == ("done", 3, "Hello you")
    assert [message.qos for message in heard.messages] == [0, 0, 1, 1]


def test_bare_text_without_streaming_comes_whole(hear: Hear) -> None:
    heard = hear(text_format(stream=False))
    heard.relay.piece("Hello", 100.1)
    heard.relay.piece(" you", 100.2)
    heard.done()
    assert [message.payload for message in heard.messages[:-1]] == [b"Hello you", b""]
    assert json.loads(heard.messages[-1].payload)["seq"] == 2


@pytest.mark.parametrize("stream", [True, False])
def test_bare_text_that_never_came_ends_all_the_same(hear: Hear, stream: bool) -> None:  # noqa: FBT001 - a parameter
    heard = hear(text_format(stream=stream))
    heard.relay.failed(InternalError("no"), 100.1)
    first, last = heard.messages
    assert (first.topic, first.payload) == ("reply/a", b"")
    assert last.topic == "reply/a/end"
    assert json.loads(last.payload)["seq"] == 1


@pytest.mark.parametrize(
    ("to", "payloads"),
    [
        (ReplyTo("reply/a"), 1),
        (text_format(), 2),
        (text_format(stream=False), 3),
    ],
)
def test_the_messages_that_ended_an_answer_can_be_sent_again(hear: Hear, to: ReplyTo, payloads: int) -> None:
    heard = hear(to)
    heard.relay.piece("Hello", 100.1)
    assert heard.relay.finals == ()
    heard.done()
    assert heard.relay.finals == tuple(heard.messages[-payloads:])
