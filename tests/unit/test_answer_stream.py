from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.client.answers import AnswerStream, AnyEvent, Restarted
from edgeassist.client.reading import WireEvent
from edgeassist.errors import Code
from edgeassist.protocol.events import Accepted, Chunk, Done, Failed, Progress, Timings, Usage, said_again


def accepted() -> Accepted:
    return Accepted(id="r", seq=0, device="box", position=0, cancel="c")


def chunk(seq: int, text: str) -> Chunk:
    return Chunk(id="r", seq=seq, text=text)


def done(seq: int, text: str) -> Done:
    return Done(
        id="r",
        seq=seq,
        text=text,
        finish_reason="stop",
        usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1),
        timings=Timings(queue_ms=0, prefill_ms=0, decode_ms=0, total_ms=0),
        model="m",
        device="box",
    )


def failed(seq: int, text: str = "") -> Failed:
    return Failed(id="r", seq=seq, code=Code.INTERNAL, message="no", retryable=False, text=text, device="box")


def run(*texts: str) -> list[WireEvent]:
    """Return a whole answer of these chunks."""
    chunks = [chunk(seq, text) for seq, text in enumerate(texts, 1)]
    return [accepted(), *chunks, done(len(texts) + 1, "".join(texts))]


def shown(events: Sequence[AnyEvent]) -> str:
    """Return the text that is valid for a caller after these events."""
    text = ""
    for event in events:
        if isinstance(event, Chunk):
            text += event.text
        elif isinstance(event, Restarted):
            text = ""
    return text


def feed(stream: AnswerStream, events: Sequence[WireEvent]) -> list[AnyEvent]:
    return [each for event in events for each in stream.take(event)]


def test_a_whole_stream_passes_as_it_came() -> None:
    events: list[WireEvent] = [
        accepted(),
        Progress(id="r", seq=1, processed=1, cached=0, total=2),
        chunk(2, "a"),
        done(3, "a"),
    ]
    assert feed(AnswerStream(), events) == events


def test_an_answer_without_a_stream_is_its_terminal_event() -> None:
    assert feed(AnswerStream(), [done(0, "all of it")]) == [done(0, "all of it")]


def test_an_event_that_came_twice_is_passed_once() -> None:
    events = run("a", "b")
    assert feed(AnswerStream(), [*events[:2], events[1], *events[2:]]) == events


def test_text_after_a_gap_waits_for_the_terminal_event_and_comes_in_one_chunk() -> None:
    events = run("a", "b", "c", "d")
    assert feed(AnswerStream(), [*events[:2], *events[3:]]) == [*events[:2], chunk(4, "bcd"), events[-1]]


def test_a_terminal_event_that_is_sent_again_brings_what_was_missed() -> None:
    events = run("a", "b", "c")
    stream = AnswerStream()
    feed(stream, events[:3])
    stream.repeated()
    assert stream.take(events[-1]) == [chunk(3, "c"), events[-1]]


def test_a_second_run_with_the_same_text_goes_on_where_the_first_one_broke() -> None:
    stream = AnswerStream()
    feed(stream, run("one ", "two ")[:-1])
    stream.repeated()
    second = run("one", " two th", "ree")
    assert feed(stream, second) == [accepted(), chunk(2, "th"), chunk(3, "ree"), second[-1]]


def test_a_second_run_with_another_text_is_told_as_a_restart() -> None:
    stream = AnswerStream()
    feed(stream, run("one ", "two ")[:-1])
    stream.repeated()
    second = run("one", " half")
    assert feed(stream, second) == [
        accepted(),
        Restarted(id="r", seq=2),
        chunk(2, "one half"),
        second[-1],
    ]


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_a_second_run_whose_beginning_was_missed_is_told_at_its_end(first: int) -> None:
    stream = AnswerStream()
    feed(stream, run("one ", "two ")[:-1])
    stream.repeated()
    second = run("t", "h", "r", "e")
    yielded = feed(stream, second[first:])
    assert yielded[-1] == second[-1]
    assert sum(isinstance(event, Restarted) for event in yielded) >= 1
    assert shown(yielded) == "thre"


def test_an_answer_that_begins_anew_unasked_is_told_as_a_restart() -> None:
    events = feed(AnswerStream(), [*run("one ", "two")[:3], *run("one ", "three")])
    assert [each for each in events if isinstance(each, Restarted)] == [Restarted(id="r", seq=2)]
    assert (shown(events), events[-1]) == ("one three", done(3, "one three"))


def test_one_that_begins_anew_with_the_same_text_goes_on_where_it_broke() -> None:
    events = feed(AnswerStream(), [*run("one ", "two")[:2], *run("one ", "two")])
    assert [each.text for each in events if isinstance(each, Chunk)] == ["one ", "two"]


def test_a_repeat_of_an_end_brings_what_was_missed_before_it() -> None:
    events = run("a", "b", "c")
    end = said_again(done(4, "abc"))
    assert feed(AnswerStream(), [*events[:2], end]) == [*events[:2], chunk(3, "bc"), end]


def test_a_failure_with_less_text_than_was_yielded_takes_nothing_back() -> None:
    for end in (failed(0), failed(1, "on")):
        stream = AnswerStream()
        feed(stream, run("one ", "two ")[:-1])
        stream.repeated()
        assert stream.take(end) == [end]


def test_a_failure_after_a_gap_brings_the_text_that_was_produced() -> None:
    stream = AnswerStream()
    feed(stream, [accepted(), chunk(1, "a"), chunk(3, "c")])
    assert stream.take(failed(4, "abc")) == [chunk(3, "bc"), failed(4, "abc")]


TEXTS = st.lists(st.text("ab", min_size=1, max_size=3), max_size=8)


@given(texts=TEXTS, lost=st.sets(st.integers(0, 8)))
def test_whatever_is_lost_but_the_end_the_caller_has_all_text_once(texts: list[str], lost: set[int]) -> None:
    events = run(*texts)
    yielded = feed(AnswerStream(), [event for event in events[:-1] if event.seq not in lost] + events[-1:])
    assert "".join(event.text for event in yielded if isinstance(event, Chunk)) == "".join(texts)
    assert yielded[-1] == events[-1]
    assert not any(isinstance(event, Restarted) for event in yielded)
    seqs = [event.seq for event in yielded]
    assert seqs == sorted(set(seqs))


@given(texts=TEXTS, late=st.integers(0, 8), stream=st.booleans())
def test_an_end_that_overtakes_its_text_brings_all_that_the_caller_lacks(
    texts: list[str],
    late: int,
    stream: bool,  # noqa: FBT001 - drawn
) -> None:
    events = run(*texts)
    kept = events[:-1][:late] if stream else []
    yielded = feed(AnswerStream(), [*kept, events[-1]])
    assert shown(yielded) == "".join(texts)
    assert yielded[-1] == events[-1]


@given(first=TEXTS, heard=st.integers(0, 9), second=TEXTS, lost=st.sets(st.integers(0, 8)))
def test_whatever_a_second_run_says_the_caller_ends_with_its_text(
    first: list[str], heard: int, second: list[str], lost: set[int]
) -> None:
    stream = AnswerStream()
    yielded = feed(stream, run(*first)[:-1][:heard])
    stream.repeated()
    events = run(*second)
    yielded += feed(stream, [event for event in events[:-1] if event.seq not in lost] + events[-1:])
    assert shown(yielded) == "".join(second)
    assert yielded[-1] == events[-1]
