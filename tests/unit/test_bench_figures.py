"""The bench's arithmetic: rates, ratios run by run, and what is honest about both."""

from __future__ import annotations

import pytest

from edgeassist.bench.figures import (
    Better,
    Figure,
    Outcome,
    Repetition,
    Sample,
    compare,
    percentile,
    quietest,
    share_of_others,
    spread,
)

RATE = Figure("decode", "tokens/s", Better.HIGHER)


def repetition(others: float = 0.0, **values: float) -> Repetition:
    return Repetition({side: Outcome({RATE.name: value}) for side, value in values.items()}, others)


def test_the_rate_is_that_of_the_tokens_after_the_first() -> None:
    assert Sample(ttft_s=9.0, decode_s=2.0, steps=100).decode_rate == 50


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], (3, 3, 3)), ([5.0, 1.0, 2.0], (2, 1, 5)), ([4.0, 1.0, 2.0, 9.0], (3, 1, 9))],
)
def test_a_spread_is_the_median_and_the_range(values: list[float], expected: tuple[float, ...]) -> None:
    found = spread(values)
    assert (found.median, found.low, found.high) == expected


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="no median"):
        spread([])


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([7.0], 0.95, 7), (range(1, 101), 0.95, 95), (range(1, 101), 1, 100), ([3.0, 1.0, 2.0], 0.5, 2)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_ratios_are_taken_run_by_run_so_that_a_machine_that_slows_down_does_not_count() -> None:
    found = compare(RATE, [repetition(device=rate - 1, peer=rate) for rate in (100, 50, 25)])
    assert (found.sides["device"].median, found.sides["peer"].median) == (49, 50)
    assert found.ratios["peer"].low == 24 / 25
    assert found.ratios["peer"].median == 49 / 50
    assert found.ratios["peer"].high == 99 / 100


def test_a_side_without_a_figure_is_left_out_of_its_comparison() -> None:
    found = compare(RATE, [Repetition({"device": Outcome({RATE.name: 5}), "peer": Outcome({})})])
    assert set(found.sides) == {"device"}
    assert found.ratios == {}


def test_each_other_side_has_a_ratio_of_its_own() -> None:
    found = compare(RATE, [repetition(device=10, peer=5, bare=20)])
    assert {side: ratio.median for side, ratio in found.ratios.items()} == {"peer": 2, "bare": 0.5}


def test_the_runs_that_others_disturbed_least_count_whatever_they_measured() -> None:
    shares = [0.2, 0.01, 0.3, 0.0, 0.02]
    runs = [repetition(share, device=at) for at, share in enumerate(shares)]
    assert [run.outcomes["device"].values[RATE.name] for run in quietest(runs, 3)] == [1, 3, 4]
    assert quietest(runs, 9) == runs


@pytest.mark.parametrize(
    ("busy", "ours", "capacity", "share"),
    [(10, 8, 20, 0.1), (10, 11, 20, 0), (10, 0, 0, 0), (99, 0, 20, 1)],
)
def test_others_have_what_the_machine_worked_and_we_did_not(
    busy: float, ours: float, capacity: float, share: float
) -> None:
    assert share_of_others(busy, ours, capacity) == share
