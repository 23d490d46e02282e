"""When a difference counts: the rule that keeps noise out of the settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.tuning.verdict import LEAST_GAIN, compare

RATES = st.lists(st.floats(0.1, 1000), min_size=1, max_size=7)


@pytest.mark.parametrize(
    ("default", "other", "counts"),
    [
        # Clearly and steadily better.
        ([10, 10, 10], [11, 11, 11], True),
        ([10, 10, 10, 10, 10], [11, 10.8, 11.2, 11, 11.1], True),
        # The device drifts by a half, and both with it: in turns that cancels.
        ([10, 7.5, 5], [11, 8.25, 5.5], True),
        ([10, 10, 10], [30, 28, 33], True),
        # Equal, or worse.
        ([10, 10, 10], [10, 10, 10], False),
        ([10, 10, 10], [9, 9, 9], False),
        # Too little to be worth a setting, however steady.
        ([10, 10, 10], [10.2, 10.2, 10.2], False),
        ([100, 100, 100], [102.9, 102.9, 102.9], False),
        ([100, 100, 100], [104, 104, 104], True),
        # Better in the median, and not in every round.
        ([10, 10, 10], [9.9, 11, 11], False),
        ([10, 10, 10, 10, 10], [12, 12, 12, 12, 9.9], False),
        # Better in every round, by less than the rounds differ.
        ([10, 10, 10], [10.1, 11, 14], False),
        ([10, 10, 10], [10.5, 11, 11.4], True),
        # Too few rounds.
        ([], [], False),
        ([10], [20], False),
        ([10, 10], [20, 20], False),
        # A round in which one of them was disturbed is none.
        ([10, None, 10], [20, 20, 20], False),
        ([10, None, 10, 10], [20, 20, 20, None], False),
        ([10, None, 10, 10], [20, 20, 20, 20], True),
        # A round that only one of them got to is none.
        ([10, 10, 10], [20, 20], False),
        ([10, 10, 10], [20, 20, 20, 1], True),
    ],
)
def test_a_difference_counts_only_beyond_noise(
    default: list[float | None], other: list[float | None], *, counts: bool
) -> None:
    assert compare(default, other).counts is counts


def test_of_seconds_and_bytes_fewer_are_better() -> None:
    assert compare([2, 2, 2], [1, 1, 1], higher_is_better=False).gain == 1.0
    assert compare([2, 2, 2], [1, 1, 1], higher_is_better=False).counts
    assert not compare([1, 1, 1], [2, 2, 2], higher_is_better=False).counts


def test_gain_and_noise_are_shares_of_the_default() -> None:
    verdict = compare([10, 10, 10], [11, 12, 13])
    assert verdict.gain == pytest.approx(0.2)
    assert verdict.noise == pytest.approx(0.1)
    assert verdict.rounds == 3


@given(RATES)
def test_nothing_is_better_than_itself(rates: list[float]) -> None:
    assert not compare(rates, rates).counts


@given(RATES, RATES)
def test_of_two_at_most_one_is_better(one: list[float], other: list[float]) -> None:
    assert not (compare(one, other).counts and compare(other, one).counts)


@given(RATES, st.floats(1 + 2 * LEAST_GAIN, 5))
def test_what_is_always_better_by_as_much_counts_after_three_rounds(
    rates: list[float], factor: float
) -> None:
    counted = compare(rates, [factor * rate for rate in rates]).counts
    assert counted is (len(rates) >= 3)
