import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.speculation import LENGTHS, NGRAM, NgramIndex, Speculation


def test_what_followed_the_same_tokens_before_is_drafted() -> None:
    assert NgramIndex().draft([1, 2, 3, 4, 5, 6, 1, 2, 3], 3) == [4, 5, 6]


def test_the_last_occurrence_counts() -> None:
    assert NgramIndex().draft([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 1) == [5]


def test_what_repeats_goes_on_repeating() -> None:
    assert NgramIndex().draft([9, 1, 2, 3, 1, 2, 3], 7) == [1, 2, 3, 1, 2, 3, 1]
    assert NgramIndex().draft([7, 7, 7, 7], 4) == [7, 7, 7, 7]


@pytest.mark.parametrize("tokens", [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4, 5, 6]])
def test_tokens_without_an_earlier_occurrence_give_no_draft(tokens: list[int]) -> None:
    assert NgramIndex().draft(tokens, 4) == []


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 8))
def test_a_growing_text_is_drafted_like_one_read_at_once(tokens: list[int], step: int) -> None:
    growing = NgramIndex()
    for end in range(step, len(tokens) + 1, step):
        assert growing.draft(tokens[:end], 5) == NgramIndex().draft(tokens[:end], 5)


@given(st.lists(st.integers(0, 1), max_size=40))
def test_a_draft_is_what_followed_the_last_earlier_occurrence(tokens: list[int]) -> None:
    draft = NgramIndex().draft(tokens, 1)
    last = tokens[-NGRAM:]
    followed = [tokens[end] for end in range(NGRAM, len(tokens)) if tokens[end - NGRAM : end] == last]
    assert draft == (followed[-1:] if len(last) == NGRAM else [])


def play(speculation: Speculation, *, hits: bool, cost: dict[int, float], steps: int) -> list[int]:
    """Let drafts hold or not, with the cost of a step by length; return the lengths that were tried."""
    tried = []
    for _ in range(steps):
        length = speculation.length()
        tried.append(length)
        speculation.learn([1] * 8, [1] * (length + 1) if hits else [2])
        speculation.timed(length, cost[length])
    return tried


CHEAP = {0: 1.0, 2: 1.1, 4: 1.2, 8: 1.5}
DEAR = {0: 1.0, 2: 3.2, 4: 5.4, 8: 9.5}


def test_nothing_is_tried_before_drafts_were_seen_to_hold() -> None:
    assert Speculation().length() == 0


def test_drafts_that_hold_are_tried_at_the_length_that_gains_most() -> None:
    assert play(Speculation(), hits=True, cost=CHEAP, steps=200)[-50:] == [8] * 50


def test_drafts_that_never_hold_are_never_tried() -> None:
    assert set(play(Speculation(), hits=False, cost=CHEAP, steps=200)) == {0}


def test_where_drafts_cost_more_than_they_gain_each_length_is_tried_a_few_times_only() -> None:
    tried = play(Speculation(), hits=True, cost=DEAR, steps=300)
    assert 0 < sum(length > 0 for length in tried) < 40
    assert set(tried[-200:]) == {0}


def test_drafting_stops_when_the_text_no_longer_repeats() -> None:
    speculation = Speculation()
    play(speculation, hits=True, cost=CHEAP, steps=100)
    assert set(play(speculation, hits=False, cost=CHEAP, steps=60)[-20:]) == {0}


def test_no_draft_is_longer_than_allowed() -> None:
    speculation = Speculation(most=4)
    assert max(play(speculation, hits=True, cost=CHEAP, steps=200)) == 4
    assert speculation.most == 4
    assert Speculation().most == LENGTHS[-1]
