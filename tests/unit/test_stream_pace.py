import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.errors import CancelledRequestError, InternalError
from edgeassist.serving.stream import Pace
from tests.unit.conftest import Hear


def test_the_first_text_goes_out_at_once_and_later_text_is_gathered(hear: Hear) -> None:
    heard = hear()
    heard.stream.add("a", 100.0)
    assert heard.sink.chunks == ["a"]
    heard.stream.add("b", 100.01)
    heard.stream.add("c", 100.02)
    assert heard.sink.chunks == ["a"]
    assert heard.stream.next_flush(100.2) == pytest.approx(100.05)
    heard.stream.flush_due(100.049)
    assert heard.sink.chunks == ["a"]
    heard.stream.flush_due(100.051)
    assert heard.sink.chunks == ["a", "bc"]
    assert heard.stream.next_flush(101.0) is None


def test_text_that_comes_after_the_interval_goes_out_with_what_waited(hear: Hear) -> None:
    heard = hear()
    for text, now in (("a", 100.0), ("b", 100.02), ("c", 100.06), ("d", 100.2)):
        heard.stream.add(text, now)
    assert heard.sink.chunks == ["a", "bc", "d"]


def test_text_that_comes_when_the_interval_is_almost_over_does_not_wait_for_a_timer(hear: Hear) -> None:
    heard = hear()
    for text, now in (("a", 100.0), ("b", 100.039), ("c", 100.041)):
        heard.stream.add(text, now)
    assert heard.sink.chunks == ["a", "bc"]
    assert heard.stream.next_flush(101.0) is None


def test_without_an_interval_every_piece_goes_out_at_once(hear: Hear) -> None:
    heard = hear(pace=Pace(0, 0.3))
    for text in "abc":
        heard.stream.add(text, 100.0)
    assert heard.sink.chunks == ["a", "b", "c"]


def test_text_that_waits_goes_out_before_the_end(hear: Hear) -> None:
    heard = hear()
    heard.stream.add("a", 100.0)
    heard.stream.add("b", 100.01)
    heard.stream.failed(CancelledRequestError("stop it"), 100.02)
    assert [event["type"] for event in heard.events] == ["chunk", "chunk", "error"]
    assert heard.sink.chunks == ["a", "b"]


def test_text_is_held_while_the_sink_is_congested_and_nothing_is_lost(hear: Hear) -> None:
    heard = hear()
    heard.sink.congested = True
    heard.stream.add("a", 100.0)
    heard.stream.add("b", 100.2)
    heard.stream.flush_due(100.2)
    assert heard.sink.events == []
    assert heard.stream.next_flush(100.2) == pytest.approx(100.25)
    heard.sink.congested = False
    heard.stream.add("c", 100.3)
    assert heard.sink.chunks == ["abc"]


def test_progress_is_told_a_few_times_a_second_and_not_after_the_first_text(hear: Hear) -> None:
    heard = hear()
    for now in (100.0, 100.1, 100.29, 100.31, 100.7):
        heard.stream.progress(processed=1, cached=0, total=9, now=now)
    heard.stream.add("a", 101.0)
    heard.stream.progress(processed=9, cached=0, total=9, now=102.0)
    assert [event["type"] for event in heard.events] == ["progress"] * 3 + ["chunk"]


def test_a_request_began_with_its_first_text(hear: Hear) -> None:
    heard = hear()
    heard.stream.accepted(model=None, position=0)
    heard.stream.progress(processed=1, cached=0, total=9, now=100.0)
    assert not heard.stream.began
    heard.stream.add("a", 100.1)
    assert heard.stream.began


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("piece"), st.text("ab你😀", min_size=1, max_size=30), st.booleans()),
            st.tuples(st.just("progress"), st.just(""), st.booleans()),
            st.tuples(st.just("flush"), st.just(""), st.booleans()),
        ),
        max_size=15,
    ),
    pauses=st.lists(st.sampled_from([0.0, 0.01, 0.06, 0.4]), min_size=15, max_size=15),
    stream=st.booleans(),
    fails=st.booleans(),
)
def test_whatever_happens_the_numbers_have_no_gaps_and_the_chunks_are_the_text(
    hear: Hear,
    steps: list[tuple[str, str, bool]],
    pauses: list[float],
    stream: bool,  # noqa: FBT001 - drawn
    fails: bool,  # noqa: FBT001 - drawn
) -> None:
    heard = hear(chunks=stream)
    heard.stream.accepted(model="m", position=0)
    now = 100.0
    for (action, text, hold), pause in zip(steps, pauses, strict=False):
        now += pause
        if action == "piece":
            heard.sink.congested = hold
            heard.stream.add(text, now)
        elif action == "progress":
            heard.stream.progress(processed=1, cached=0, total=2, now=now)
        else:
            heard.stream.flush(now)
    if fails:
        heard.stream.failed(InternalError("no"), now)
    else:
        heard.done(now)
    said = "".join(text for _, text, _ in steps)
    assert [event["seq"] for event in heard.events] == list(range(len(heard.events)))
    assert [event["type"] in {"done", "error"} for event in heard.events] == [False] * (
        len(heard.events) - 1
    ) + [True]
    assert "".join(heard.sink.chunks) == (said if stream else "")
    assert heard.events[-1]["text"] == said == heard.stream.text
    assert all(len(chunk.encode()) <= heard.sink.chunk_bytes for chunk in heard.sink.chunks)
