from edgeassist.engine.messages import Finish, Finished
from edgeassist.errors import BusyError
from edgeassist.protocol.events import parse_event
from tests.unit.conftest import Hear


def test_an_answer_is_numbered_without_gaps(hear: Hear) -> None:
    heard = hear()
    heard.stream.accepted(model="m", position=2)
    heard.stream.started(100.1)
    heard.stream.progress(processed=4, cached=0, total=10, now=100.2)
    heard.stream.add("Hello", 100.3)
    heard.stream.add(" world, and all who live in it", 100.31)
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


def test_the_end_tells_text_usage_and_timings(hear: Hear) -> None:
    heard = hear()
    heard.stream.started(100.1)
    heard.stream.add("Hello", 100.25)
    heard.stream.add(" you", 100.26)
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
    heard.stream.accepted(model="m", position=0)
    heard.done()
    assert [event["metadata"] for event in heard.events] == [{"room": None, "n": 1}] * 2


def test_the_events_of_an_answer_are_read_back_as_they_were_said(hear: Hear) -> None:
    heard = hear()
    heard.stream.accepted(model="m", position=0)
    heard.stream.progress(processed=4, cached=0, total=10, now=100.2)
    heard.stream.add("你好", 100.3)
    heard.done()
    for event in heard.sink.events:
        assert parse_event(event.payload()) == event


def test_what_is_not_known_stays_out_of_the_events_and_they_can_still_be_read(hear: Hear) -> None:
    heard = hear()
    heard.stream.accepted(model=None, position=0)
    heard.stream.done(Finished("1", Finish.STOP, 10, 10, 1, 0, 0), model="m", session=None, now=101.0)
    accepted, done = heard.events
    assert "model" not in accepted
    assert {"ttft_ms", "prefill_tokens_per_s", "decode_tokens_per_s"}.isdisjoint(done["timings"])
    assert [parse_event(event.payload()).id for event in heard.sink.events] == ["a", "a"]


def test_an_error_tells_code_message_and_what_was_produced(hear: Hear) -> None:
    heard = hear()
    heard.stream.add("so far", 100.0)
    heard.stream.failed(BusyError("come back later", retry_after_ms=900), 100.1)
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


def test_without_streaming_only_the_end_is_said(hear: Hear) -> None:
    heard = hear(chunks=False)
    heard.stream.accepted(model="m", position=0)
    heard.stream.progress(processed=1, cached=0, total=9, now=100.0)
    heard.stream.add("all ", 100.1)
    heard.stream.add("of it", 100.9)
    assert heard.stream.next_flush(101.0) is None
    heard.done()
    (only,) = heard.events
    assert (only["type"], only["seq"], only["text"]) == ("done", 0, "all of it")


def test_a_sink_without_use_for_progress_gets_chunks_and_the_end_only(hear: Hear) -> None:
    heard = hear(wants_progress=False)
    heard.stream.accepted(model="m", position=0)
    heard.stream.progress(processed=1, cached=0, total=9, now=100.0)
    heard.stream.add("Hello", 100.1)
    heard.done()
    assert [(event["type"], event["seq"]) for event in heard.events] == [("chunk", 0), ("done", 1)]
