import json
from dataclasses import replace
from typing import Any

import pytest

from edgeassist.errors import BusyError, InternalError, InvalidRequestError
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.gateways.mqtt.replies import MOST_PARTS, Replies, ReplyOptions, Told
from edgeassist.protocol.asking import End, ReplyFormat
from edgeassist.protocol.events import said_again
from edgeassist.protocol.packets import Outbound
from edgeassist.serving.stream import Stream
from tests.unit.conftest import PACE, ListLink, finished

OPTIONS = ReplyOptions(chunk_bytes=16, chunk_qos=0, final_qos=1)
SMALL = 256
EVENTS = ReplyTo("reply/a", b"\x00tag")


def text_format(*, stream: bool = True, **fields: Any) -> ReplyTo:
    return ReplyTo("reply/a", b"tag", ReplyFormat.TEXT, stream, **fields)


def stream_to(link: ListLink, to: ReplyTo = EVENTS) -> Stream:
    """Return a stream whose events are published."""
    sink = Replies("a", to, OPTIONS, cancel="box/command/cancel", link=link)
    return Stream("a", sink, pace=PACE, device="box", arrived=100.0, chunks=to.stream, metadata={"n": 1})


def done(stream: Stream) -> None:
    stream.done(finished("1"), model="m", session=None, now=101.0)


def test_an_answer_goes_to_one_place_with_its_correlation_and_is_not_retained() -> None:
    link = ListLink()
    stream = stream_to(link)
    stream.accepted(model="m", position=0)
    stream.add("Hello", 100.3)
    done(stream)
    assert {(each.topic, each.correlation) for each in link.published} == {("reply/a", b"\x00tag")}
    assert not any(each.retain for each in link.published)
    assert [each.qos for each in link.published] == [0, 0, 1]


@pytest.mark.parametrize("to", [EVENTS, text_format()])
@pytest.mark.parametrize(("connected", "qos"), [(True, 0), (False, 1)])
def test_a_refusal_takes_no_room_where_many_messages_wait(to: ReplyTo, *, connected: bool, qos: int) -> None:
    link = ListLink()
    link.congested, link.connected = True, connected
    stream_to(link, to).failed(InvalidRequestError("no"), 100.0)
    assert {each.qos for each in link.published} == {qos}


def test_the_end_of_a_request_that_was_taken_keeps_its_qos_however_many_wait() -> None:
    link = ListLink()
    stream = stream_to(link)
    stream.accepted(model="m", position=0)
    link.congested = True
    stream.failed(InternalError("no"), 100.0)
    assert [each.qos for each in link.published] == [0, 1]


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


def packet_bytes(message: Outbound) -> int:
    """Return the size of a PUBLISH packet at QoS 1 of MQTT 5, counted from the standard."""
    correlation = b"" if message.correlation is None else b"\x09\x00\x00" + message.correlation
    properties = bytes([len(correlation)]) + correlation
    rest = 2 + len(message.topic.encode()) + 2 + len(properties) + len(message.payload)
    return 1 + (1 if rest < 128 else 2 if rest < 16_384 else 3) + rest


def answer(to: ReplyTo, *texts: str, metadata: Any = None, name: str = "a") -> list[Outbound]:
    """Return the messages of a whole answer."""
    link = ListLink()
    sink = Replies(name, to, replace(OPTIONS, chunk_bytes=1024), cancel="box/command/cancel", link=link)
    stream = Stream(name, sink, pace=PACE, device="box", arrived=100.0, chunks=to.stream, metadata=metadata)
    stream.accepted(model="m", position=0)
    stream.progress(processed=1, cached=0, total=9, now=100.0)
    for step, text in enumerate(texts, 1):
        stream.add(text, 100.0 + step)
    stream.done(finished("1"), model="m", session=None, now=200.0)
    return link.published


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("text", ["hi", "a" * 900, '"\\\n' * 200, "\x01" * 50, "厨房" * 100, "x"])
def test_a_small_client_gets_all_of_an_answer_in_packets_that_it_takes(text: str, *, stream: bool) -> None:
    heard = answer(
        ReplyTo("reply/a", b"tag", stream=stream, max_packet=SMALL), text, metadata={"n": "m" * 300}
    )
    assert max(packet_bytes(each) for each in heard) <= SMALL
    events = [json.loads(each.payload) for each in heard]
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert "".join(event["text"] for event in events if event["type"] == "chunk") == text
    assert events[-1]["type"] == "done"
    assert events[-1]["finish_reason"] == "stop"
    assert "text" not in events[-1]


def test_no_byte_of_a_small_packet_is_wasted() -> None:
    heard = answer(ReplyTo("reply/a", max_packet=SMALL), "a" * 900)
    # A sequence number may have six more digits.
    assert max(packet_bytes(each) for each in heard) >= SMALL - 6
    assert packet_bytes(answer(text_format(max_packet=SMALL), "a" * 900)[0]) == SMALL


@pytest.mark.parametrize("stream", [True, False])
def test_bare_text_is_cut_for_a_small_client_and_its_end_fits(*, stream: bool) -> None:
    *texts, empty, end = answer(text_format(stream=stream, max_packet=SMALL), "厨" * 400)
    assert max(packet_bytes(each) for each in [*texts, empty, end]) <= SMALL
    assert b"".join(each.payload for each in texts).decode() == "厨" * 400
    assert (empty.payload, end.topic) == (b"", "reply/a/end")
    assert json.loads(end.payload)["seq"] == len(texts) + 1


@pytest.mark.parametrize("to", [ReplyTo("reply/a", b"tag"), text_format()])
def test_a_small_client_learns_of_a_failure_in_mid_answer_with_as_much_of_its_message_as_fits(
    to: ReplyTo,
) -> None:
    link = ListLink()
    stream = stream_to(link, replace(to, max_packet=SMALL))
    stream.add("Hello", 100.1)
    stream.failed(InternalError("it broke " * 100), 100.2)
    assert max(packet_bytes(each) for each in link.published) <= SMALL
    end = json.loads(link.published[-1].payload)
    assert (end["type"], end["code"], end["retryable"]) == ("error", "internal", False)
    assert end["message"].startswith("it broke it broke")


def test_a_short_end_has_neither_the_text_nor_the_figures() -> None:
    end = json.loads(answer(ReplyTo("reply/a", end=End.SHORT), "Hello", metadata={"n": 1})[-1].payload)
    assert list(end) == ["id", "seq", "type", "finish_reason", "usage", "metadata"]
    chunk, short = answer(ReplyTo("reply/a", end=End.SHORT, stream=False), "Hello")
    assert json.loads(chunk.payload) == {"id": "a", "seq": 0, "type": "chunk", "text": "Hello"}
    assert json.loads(short.payload)["seq"] == 1


def test_an_end_that_fits_a_small_packet_is_whole() -> None:
    (end,) = answer(ReplyTo("reply/a", stream=False, max_packet=1000), "Hello")
    assert json.loads(end.payload)["text"] == "Hello"


def test_a_text_of_more_parts_than_may_go_out_at_once_is_refused_with_a_word() -> None:
    to = ReplyTo("reply/a", stream=False, max_packet=SMALL)
    (end,) = answer(to, "a" * SMALL * MOST_PARTS)
    assert json.loads(end.payload)["code"] == "too_large"
    assert packet_bytes(end) <= SMALL
    assert len(answer(replace(to, stream=True), "a" * SMALL * MOST_PARTS)) > MOST_PARTS


@pytest.mark.parametrize(
    ("to", "payloads"),
    [
        (text_format(), [b"Hello you", b""]),
        (text_format(stream=False), [b"Hello you", b""]),
        (
            ReplyTo("reply/a", end=End.SHORT),
            [b'{"id":"a","seq":0,"type":"chunk","text":"Hello you","repeat":true}'],
        ),
        (ReplyTo("reply/a"), []),
    ],
)
def test_an_end_that_is_said_again_has_its_text_in_the_form_that_was_asked_for(
    to: ReplyTo, payloads: list[bytes]
) -> None:
    first, again = ListLink(), ListLink()
    replies = Replies("a", to, OPTIONS, cancel="c", link=first)
    stream = Stream("a", replies, pace=PACE, device="box", arrived=100.0, chunks=to.stream)
    stream.add("Hello", 100.1)
    stream.add(" you", 100.2)
    end = stream.done(finished("1"), model="m", session=None, now=101.0)
    Replies("a", to, OPTIONS, cancel="c", link=again).send(said_again(end))
    assert [each.payload for each in again.published[:-1]] == payloads
    last = json.loads(again.published[-1].payload)
    assert (last["seq"], last["repeat"]) == (len(payloads) or end.seq, True)
    assert ("text" in last) == (to.end is End.FULL)
    first.published.clear()
    settled: list[bool] = []
    replies.say_again(end, Told(settled.append))
    assert first.published == again.published
    assert [each.on_settled for each in first.published if each.on_settled] == [settled.append]


@pytest.mark.parametrize("length", [40, 400, 4000])
@pytest.mark.parametrize("to", [ReplyTo("reply/a", max_packet=SMALL), text_format(max_packet=SMALL)])
def test_an_end_that_is_said_again_fits_a_small_packet_as_the_first_did(to: ReplyTo, length: int) -> None:
    link = ListLink()
    replies = Replies("a", to, replace(OPTIONS, chunk_bytes=1024), cancel="c", link=link)
    stream = Stream("a", replies, pace=PACE, device="box", arrived=100.0)
    stream.add('"' * length, 100.1)
    for end in (
        stream.done(finished("1"), model="m", session=None, now=101.0),
        stream.failed(BusyError("n" * 300, retry_after_ms=99_999_999), 102.0),
    ):
        link.published.clear()
        replies.say_again(end, Told())
        assert max(packet_bytes(each) for each in link.published) <= SMALL
        *said, last = link.published
        quote = b'"' if to.format is ReplyFormat.TEXT else b'\\"'
        assert sum(each.payload.count(quote) for each in said) == length
        assert json.loads(last.payload)["repeat"] is True


@pytest.mark.parametrize(
    ("to", "most"), [(ReplyTo("", max_packet=SMALL), 120), (text_format(max_packet=SMALL), 110)]
)
def test_a_topic_that_leaves_no_room_in_the_packet_is_refused_with_the_numbers(
    to: ReplyTo, most: int
) -> None:
    replace(to, topic="r" * most).check("")
    with pytest.raises(
        InvalidRequestError,
        match=r"max_packet: use a shorter .* 256 bytes leave 127 beside the topic, and 128 are",
    ):
        replace(to, topic="r" * (most + 1)).check("")
    replace(to, topic="r" * 1000, max_packet=None).check("x" * 64)
