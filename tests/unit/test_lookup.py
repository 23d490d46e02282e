import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.lookup import LENGTHS, NGRAM, Bet, Lookup


def test_what_came_after_the_same_tokens_before_is_guessed() -> None:
    assert Lookup().guess([1, 2, 3, 4, 5, 6, 1, 2, 3], 3) == [4, 5, 6]


def test_the_last_time_counts() -> None:
    assert Lookup().guess([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 1) == [5]


def test_what_repeats_goes_on_repeating() -> None:
    assert Lookup().guess([9, 1, 2, 3, 1, 2, 3], 7) == [1, 2, 3, 1, 2, 3, 1]
    assert Lookup().guess([7, 7, 7, 7], 4) == [7, 7, 7, 7]


@pytest.mark.parametrize("tokens", [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4, 5, 6]])
def test_what_was_never_there_is_not_guessed(tokens: list[int]) -> None:
    assert Lookup().guess(tokens, 4) == []


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 8))
def test_a_text_that_grows_is_guessed_as_if_it_were_read_at_once(tokens: list[int], step: int) -> None:
    growing = Lookup()
    for end in range(step, len(tokens) + 1, step):
        assert growing.guess(tokens[:end], 5) == Lookup().guess(tokens[:end], 5)


@given(st.lists(st.integers(0, 1), max_size=40))
def test_a_guess_is_what_followed_an_earlier_occurrence(tokens: list[int]) -> None:
    guess = Lookup().guess(tokens, 1)
    last = tokens[-NGRAM:]
    followed = [tokens[end] for end in range(NGRAM, len(tokens)) if tokens[end - NGRAM : end] == last]
    assert guess == (followed[-1:] if len(last) == NGRAM else [])


def play(bet: Bet, *, hits: bool, cost: dict[int, float], steps: int) -> list[int]:
    """Let guesses hold or not, at that cost of a step by length, and return the lengths that were tried."""
    tried = []
    for _ in range(steps):
        length = bet.length()
        tried.append(length)
        bet.learn([1] * 8, [1] * (length + 1) if hits else [2])
        bet.timed(length, cost[length])
    return tried


CHEAP = {0: 1.0, 2: 1.1, 4: 1.2, 8: 1.5}
DEAR = {0: 1.0, 2: 3.2, 4: 5.4, 8: 9.5}


def test_nothing_is_tried_before_guesses_were_seen_to_hold() -> None:
    assert Bet().length() == 0


def test_guesses_that_hold_are_tried_at_the_length_that_gains_most() -> None:
    assert play(Bet(), hits=True, cost=CHEAP, steps=200)[-50:] == [8] * 50


def test_guesses_that_never_hold_are_never_tried() -> None:
    assert set(play(Bet(), hits=False, cost=CHEAP, steps=200)) == {0}


def test_on_a_machine_where_they_cost_more_than_they_gain_each_length_is_tried_a_few_times_only() -> None:
    tried = play(Bet(), hits=True, cost=DEAR, steps=300)
    assert 0 < sum(length > 0 for length in tried) < 40
    assert set(tried[-200:]) == {0}


def test_they_stop_when_the_text_changes() -> None:
    bet = Bet()
    play(bet, hits=True, cost=CHEAP, steps=100)
    assert set(play(bet, hits=False, cost=CHEAP, steps=60)[-20:]) == {0}


def test_no_guess_is_longer_than_allowed() -> None:
    bet = Bet(most=4)
    assert max(play(bet, hits=True, cost=CHEAP, steps=200)) == 4
    assert bet.most == 4
    assert Bet().most == LENGTHS[-1]
