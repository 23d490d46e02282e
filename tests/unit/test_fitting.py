import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from pydantic_core import to_json

from edgeassist.errors import Code
from edgeassist.protocol.events import Accepted, AnyEvent, Chunk, Done, Failed, Progress, Timings, Usage
from edgeassist.protocol.fitting import NEEDED_BYTES, fitted, room, split

# As large as they get: an answer has at most as many events and tokens as a context has tokens.
MOST = 1_048_576
ID = "i" * 64
METADATA: dict[str, JsonValue] = {"key": "m" * 4000}
USAGE = Usage(prompt_tokens=MOST, cached_tokens=MOST, completion_tokens=MOST)
TIMINGS = Timings(queue_ms=1234567.89, prefill_ms=1234567.89, decode_ms=1234567.89, total_ms=1234567.89)
LARGEST: list[AnyEvent] = [
    Accepted(
        id=ID, seq=0, device="d" * 64, model="m" * 99, position=10_000, cancel="c" * 300, metadata=METADATA
    ),
    Progress(id=ID, seq=1, processed=MOST, cached=MOST, total=MOST),
    Chunk(id=ID, seq=MOST, text="\x01"),
    Done(
        id=ID,
        seq=MOST,
        text="x" * 9999,
        finish_reason="tool_calls",
        usage=USAGE,
        timings=TIMINGS,
        model="m" * 99,
        device="d" * 64,
        metadata=METADATA,
    ),
    *[
        Failed(
            id=ID,
            seq=MOST,
            code=code,
            message='"' * 999,
            retryable=False,
            retry_after_ms=86_400_000,
            text="x" * 9999,
            device="d" * 64,
            metadata=METADATA,
        )
        for code in Code
    ],
]


@pytest.mark.parametrize("event", LARGEST, ids=lambda event: f"{event.type}-{getattr(event, 'code', '')}")
def test_every_event_fits_where_a_request_is_taken(event: AnyEvent) -> None:
    payload = fitted(event, NEEDED_BYTES + len(ID))
    assert len(payload) <= NEEDED_BYTES + len(ID)
    kept = json.loads(payload)
    whole = json.loads(event.payload())
    assert {key: kept[key] for key in ("id", "seq", "type")} == {
        "id": ID,
        "seq": event.seq,
        "type": event.type,
    }
    assert all(whole[key] == value for key, value in kept.items() if key != "message")


@given(most=st.integers(NEEDED_BYTES + 64, 6000))
def test_an_event_keeps_what_there_is_room_for(most: int) -> None:
    for event in LARGEST:
        payload = fitted(event, most)
        assert len(payload) <= most
        assert len(event.payload()) > most or payload == event.payload()


def test_what_matters_least_goes_first() -> None:
    accepted, done, failed = LARGEST[0], LARGEST[3], LARGEST[4]
    assert "cancel" in json.loads(fitted(accepted, 500))
    assert list(json.loads(fitted(done, 5000))) == ["id", "seq", "type", "finish_reason", "usage", "metadata"]
    assert list(json.loads(fitted(done, 300))) == ["id", "seq", "type", "finish_reason", "usage"]
    assert list(json.loads(fitted(done, 192))) == ["id", "seq", "type", "finish_reason"]
    assert list(json.loads(fitted(failed, 500))) == [
        "id",
        "seq",
        "type",
        "code",
        "message",
        "retryable",
        "retry_after_ms",
    ]


def test_a_place_that_is_too_narrow_has_an_event_all_the_same() -> None:
    assert json.loads(fitted(LARGEST[4], -5))["message"] == '"' * 3


@pytest.mark.parametrize(
    ("packet", "topic", "correlation", "left"),
    [
        (256, "t" * 10, None, 256 - 1 - 2 - 2 - 10 - 2 - 1),
        (256, "t" * 10, b"1234", 256 - 1 - 2 - 2 - 10 - 2 - 1 - 3 - 4),
        (256, "厨", None, 256 - 1 - 2 - 2 - 3 - 2 - 1),
        (256, "t", b"c" * 130, 256 - 1 - 2 - 2 - 1 - 2 - 2 - 3 - 130),
        (20_000, "t", None, 20_000 - 1 - 3 - 2 - 1 - 2 - 1),
    ],
)
def test_the_room_in_a_packet_is_what_its_header_leaves(
    packet: int, topic: str, correlation: bytes | None, left: int
) -> None:
    assert room(packet, topic, correlation) == left


@given(text=st.text(min_size=1, max_size=60), most=st.integers(4, 20))
def test_a_text_is_cut_between_characters_into_parts_as_large_as_they_may_be(text: str, most: int) -> None:
    parts = split(text, most)
    assert "".join(parts) == text
    sizes = [len(part.encode()) for part in parts]
    assert all(0 < size <= most for size in sizes)
    for size, following in zip(sizes, parts[1:], strict=False):
        assert size + len(following[0].encode()) > most


@given(text=st.text(min_size=1, max_size=60) | st.text('a"\\\n\x01你', max_size=60), most=st.integers(6, 20))
def test_a_text_is_cut_into_parts_as_large_as_they_may_be_where_json_escapes_it(text: str, most: int) -> None:
    parts = split(text, most, escaped=True)
    assert "".join(parts) == text
    sizes = [len(to_json(part)) - 2 for part in parts]
    assert all(size <= most for size in sizes)
    for size, following in zip(sizes, parts[1:], strict=False):
        assert size + len(to_json(following[0])) - 2 > most
