"""What an answer's arrival says: first text, rate, gaps, and several answers together."""

from __future__ import annotations

import pytest

from edgeassist.bench.replies import End, Reply, Text, decode_steps, gaps, rate_in_all


def reply(
    *arrivals: float, begun: float = 0.0, end: float = 10.0, tokens: int = 5, first: str = "word"
) -> Reply:
    texts = tuple(Text(at, first if index == 0 else " word") for index, at in enumerate(arrivals))
    return Reply(begun, texts, End(end, 100, 0, tokens, by_itself=False))


def test_the_first_token_is_counted_from_the_question_and_the_rate_from_the_first_token() -> None:
    sample = reply(3.0, 4.0, begun=1.0, end=7.0, tokens=9).sample
    assert (sample.ttft_s, sample.decode_rate) == (2, 2)


def test_an_answer_without_text_arrives_at_its_end() -> None:
    assert reply(end=4.0).ttft_s == 4


@pytest.mark.parametrize(
    ("tokens", "by_itself", "steps"),
    [(128, False, 127), (1, False, 0), (100, True, 100), (0, True, 1), (0, False, 0)],
)
def test_a_token_that_ends_the_turn_was_computed_too(tokens: int, *, by_itself: bool, steps: int) -> None:
    assert decode_steps(tokens, by_itself=by_itself) == steps


def test_a_first_text_that_waited_for_the_rest_of_a_character_is_not_clean() -> None:
    assert reply(1.0).clean
    assert not reply(1.0, first="\ufffdword").clean


def test_the_rate_in_all_is_every_token_over_the_time_from_the_first_question_to_the_last_end() -> None:
    first = [reply(2.0, begun=0.0, end=4.0, tokens=10), reply(3.0, begun=1.0, end=5.0, tokens=15)]
    assert rate_in_all([first]) == 5


def test_the_time_between_rounds_does_not_count() -> None:
    rounds = [[reply(begun=0.0, end=1.0, tokens=10)], [reply(begun=100.0, end=101.0, tokens=20)]]
    assert rate_in_all(rounds) == 15


def test_a_gap_counts_if_it_touches_the_stretch_even_from_outside() -> None:
    texts = [Text(at, "") for at in (0.0, 1.0, 2.0, 6.0, 7.0, 8.0)]
    assert list(gaps(texts, since=3.0, until=5.0)) == [4]
    assert list(gaps(texts, since=1.5, until=6.5)) == [1, 4, 1]
    assert list(gaps(texts, since=9.0, until=10.0)) == []


def test_what_is_kept_of_an_answer_is_in_milliseconds() -> None:
    kept = reply(1.5, begun=1.0, end=3.0).answered
    assert (kept.ttft_ms, kept.total_ms, kept.completion_tokens) == (500, 2000, 5)
