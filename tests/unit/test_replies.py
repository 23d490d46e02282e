import json

import pytest

from edgeassist.errors import BusyError, InternalError
from edgeassist.gateways.mqtt.replies import Replies, ReplyOptions, ReplyTo
from edgeassist.protocol.requests import ReplyFormat
from edgeassist.serving.stream import Stream
from tests.unit.conftest import PACE, ListLink, finished

OPTIONS = ReplyOptions(chunk_bytes=16, chunk_qos=0, final_qos=1)
EVENTS = ReplyTo("reply/a", b"\x00tag")


def text_format(*, stream: bool = True) -> ReplyTo:
    return ReplyTo("reply/a", b"tag", ReplyFormat.TEXT, stream)


def stream_to(link: ListLink, to: ReplyTo = EVENTS) -> Stream:
    """Return a stream whose events are published."""
    sink = Replies(to, OPTIONS, cancel="box/command/cancel", link=link)
    return Stream("a", sink, pace=PACE, device="box", arrived=100.0, chunks=to.stream, metadata={"n": 1})


def done(stream: Stream) -> None:
    stream.done(finished("1"), model="m", session=None, now=101.0)


def test_an_answer_goes_to_one_place_with_its_correlation_and_only_its_end_is_acknowledged() -> None:
    link = ListLink()
    stream = stream_to(link)
    stream.accepted(model="m", position=0)
    stream.add("Hello", 100.3)
    done(stream)
    assert {(each.topic, each.correlation) for each in link.published} == {("reply/a", b"\x00tag")}
    assert not any(each.retain for each in link.published)
    assert [each.qos for each in link.published] == [0, 0, 1]


def test_a_client_learns_where_to_cancel() -> None:
    link = ListLink()
    stream_to(link).accepted(model="m", position=0)
    assert json.loads(link.published[0].payload)["cancel"] == "box/command/cancel"
    assert list(json.loads(link.published[0].payload))[-2:] == ["cancel", "metadata"]


def test_bare_text_ends_with_an_empty_payload_and_the_event_beside_it() -> None:
    link = ListLink()
    stream = stream_to(link, text_format())
    stream.accepted(model="m", position=0)
    stream.progress(processed=1, cached=0, total=9, now=100.0)
    stream.add("Hello", 100.1)
    stream.add(" you", 100.11)
    done(stream)
    *texts, last = link.published
    assert [(each.topic, each.payload) for each in texts] == [
        ("reply/a", b"Hello"),
        ("reply/a", b" you"),
        ("reply/a", b""),
    ]
    event = json.loads(last.payload)
    assert (last.topic, event["type"], event["seq"], event["text"]) == ("reply/a/end", "done", 3, "Hello you")
    assert [each.qos for each in link.published] == [0, 0, 1, 1]
    assert {each.correlation for each in link.published} == {b"tag"}


def test_bare_text_without_streaming_comes_whole() -> None:
    link = ListLink()
    stream = stream_to(link, text_format(stream=False))
    stream.add("Hello", 100.1)
    stream.add(" you", 100.2)
    done(stream)
    assert [each.payload for each in link.published[:-1]] == [b"Hello you", b""]
    assert json.loads(link.published[-1].payload)["seq"] == 2


@pytest.mark.parametrize("stream", [True, False])
def test_bare_text_that_never_came_ends_all_the_same(stream: bool) -> None:  # noqa: FBT001 - a parameter
    link = ListLink()
    stream_to(link, text_format(stream=stream)).failed(InternalError("no"), 100.1)
    first, last = link.published
    assert (first.topic, first.payload) == ("reply/a", b"")
    assert last.topic == "reply/a/end"
    assert json.loads(last.payload)["seq"] == 1


def test_an_end_that_the_broker_does_not_take_is_replaced_by_a_short_error_of_the_same_number() -> None:
    link = ListLink(most_bytes=400)
    stream = stream_to(link)
    stream.add("x" * 1000, 100.1)
    done(stream)
    last = json.loads(link.published[-1].payload)
    assert (last["type"], last["code"], last["text"]) == ("error", "too_large", "")
    assert last["seq"] == len(link.published) - 1
    assert "1000 bytes" in last["message"]
    assert last["metadata"] == {"n": 1}


def test_bare_text_whose_end_the_broker_does_not_take_has_an_end_all_the_same() -> None:
    link = ListLink(most_bytes=400)
    stream = stream_to(link, text_format())
    stream.add("x" * 1000, 100.1)
    done(stream)
    last = link.published[-1]
    event = json.loads(last.payload)
    assert (last.topic, event["type"], event["code"]) == ("reply/a/end", "error", "too_large")
    assert event["seq"] == len(link.published) - 1
    assert [each.topic for each in link.published].count("reply/a/end") == 1


def test_a_refusal_without_text_is_said_once() -> None:
    link = ListLink(most_bytes=10)
    stream_to(link).failed(BusyError("later"), 100.1)
    assert link.published == []


def test_the_connections_congestion_is_the_sinks() -> None:
    link = ListLink()
    stream = stream_to(link)
    link.congested = True
    stream.add("a", 100.0)
    assert link.published == []
    assert stream.next_flush(100.0) == pytest.approx(100.05)
