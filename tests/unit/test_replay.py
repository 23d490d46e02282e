from hypothesis import given
from hypothesis import strategies as st

from edgeassist.protocol.events import Done, Timings, Usage
from edgeassist.serving.caller import Key
from edgeassist.serving.replay import MAX_ANSWERS, MAX_BYTES, Replays

EMPTY = Done(
    id="x",
    seq=1,
    text="",
    finish_reason="stop",
    usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1),
    timings=Timings(queue_ms=0, prefill_ms=0, decode_ms=0, total_ms=0),
    model="m",
    device="box",
)
OVERHEAD = len(EMPTY.payload())


def answer(text: str = "done") -> Done:
    return EMPTY.model_copy(update={"text": text})


def sized(size: int) -> Done:
    """Return an answer whose event has that many bytes."""
    return answer("x" * (size - OVERHEAD))


def test_the_same_request_finds_its_answer() -> None:
    replays = Replays(60)
    replays.remember(Key("", "a"), b"digest", answer(), 0)
    assert replays.find(Key("", "a"), b"digest", 59.9) == answer()


def test_another_request_of_that_id_does_not() -> None:
    replays = Replays(60)
    replays.remember(Key("", "a"), b"digest", answer(), 0)
    assert replays.find(Key("", "a"), b"other", 1) is None
    assert replays.find(Key("", "b"), b"digest", 1) is None


def test_an_answer_is_forgotten_after_its_time() -> None:
    replays = Replays(60)
    replays.remember(Key("", "a"), b"digest", answer(), 0)
    replays.remember(Key("", "b"), b"digest", answer(), 30)
    assert replays.find(Key("", "a"), b"digest", 60) is None
    assert replays.find(Key("", "b"), b"digest", 60) == answer()


def test_what_is_kept_of_an_answer_is_its_bytes_whatever_its_metadata() -> None:
    replays = Replays(60)
    done = EMPTY.model_copy(update={"metadata": {"a": [{}] * 1000}})
    replays.remember(Key("", "a"), b"d", done, 0)
    assert replays.find(Key("", "a"), b"d", 1) == done
    assert [type(answer.payload) for answer in replays._answers.values()] == [bytes]


def test_with_no_time_to_remember_nothing_is_found() -> None:
    replays = Replays(0)
    replays.remember(Key("", "a"), b"digest", answer(), 5)
    assert replays.find(Key("", "a"), b"digest", 5) is None


def test_a_second_answer_for_an_id_replaces_the_first_and_lives_from_then() -> None:
    replays = Replays(60)
    replays.remember(Key("", "a"), b"one", answer("1"), 0)
    replays.remember(Key("", "b"), b"b", answer("b"), 10)
    replays.remember(Key("", "a"), b"two", answer("2"), 50)
    assert replays.find(Key("", "a"), b"one", 55) is None
    assert replays.find(Key("", "a"), b"two", 100) == answer("2")
    assert replays.find(Key("", "b"), b"b", 100) is None


def test_the_oldest_answer_makes_room_for_one_more() -> None:
    replays = Replays(60)
    for number in range(MAX_ANSWERS + 1):
        replays.remember(Key("", str(number)), b"d", answer(), 0)
    assert replays.find(Key("", "0"), b"d", 1) is None
    assert replays.find(Key("", "1"), b"d", 1) == answer()


def test_an_answer_larger_than_all_room_is_not_kept_and_leaves_room_for_the_next() -> None:
    replays = Replays(60)
    replays.remember(Key("", "a"), b"d", sized(MAX_BYTES + 1), 0)
    assert replays.find(Key("", "a"), b"d", 0) is None
    replays.remember(Key("", "b"), b"d", sized(MAX_BYTES), 0)
    assert replays.find(Key("", "b"), b"d", 0) is not None


@given(
    answers=st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.integers(OVERHEAD, MAX_BYTES // 2), st.integers(0, 30)),
        max_size=20,
    )
)
def test_what_is_found_are_the_latest_answers_and_they_fit(answers: list[tuple[str, int, int]]) -> None:
    replays = Replays(60)
    now = 0
    latest: dict[str, tuple[int, int]] = {}
    for request, size, pause in answers:
        now += pause
        replays.remember(Key("", request), b"d", sized(size), now)
        latest.pop(request, None)
        latest[request] = (size, now)
        fresh = [each for each, (_, at) in latest.items() if now - at < 60]
        found = [each for each in latest if replays.find(Key("", each), b"d", now) is not None]
        assert request in found
        assert found == fresh[-len(found) :]
        assert sum(latest[each][0] for each in found) <= MAX_BYTES
