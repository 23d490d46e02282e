"""Figures of answers whose right values are known."""

from __future__ import annotations

import math
import random

import pytest

from edgeassist.evaluation.metrics import MOST_BINS, Judged, grouped, interval, measure, reliability
from edgeassist.protocol.decisions import Kind


def answer(*probabilities: float, right: int = 0, kind: Kind = Kind.CHOICE) -> Judged:
    return Judged(kind, probabilities, right)


def drawn(count: int, *, sharpened: float = 1.0) -> list[Judged]:
    """Return answers that are right as often as they say; sharpened, they say that they are surer."""
    dice = random.Random(1)  # noqa: S311 - a draw that is the same each time
    answers = []
    for _ in range(count):
        true = [dice.random() for _ in range(dice.choice((2, 3, 5)))]
        true = [each**2 / sum(other**2 for other in true) for each in true]
        right = dice.choices(range(len(true)), true)[0]
        said = [each**sharpened for each in true]
        answers.append(answer(*(each / sum(said) for each in said), right=right))
    return answers


def test_answers_that_are_right_as_often_as_they_say_are_calibrated() -> None:
    figures = measure(drawn(5000), threshold=0.0)
    assert figures.ece < 2 * figures.ece_by_chance < 0.04
    assert len(figures.bins) == MOST_BINS
    for each in figures.bins:
        assert each.count == 500
        assert each.confidence == pytest.approx(each.accuracy, abs=0.06)


def test_answers_that_are_too_sure_have_an_error() -> None:
    calibrated, too_sure = (measure(drawn(5000, sharpened=by), threshold=0.0) for by in (1.0, 3.0))
    assert too_sure.accuracy == calibrated.accuracy
    assert too_sure.ece > 0.15
    assert too_sure.nll > calibrated.nll
    assert too_sure.brier > calibrated.brier


def test_always_half_sure_and_always_right_is_off_by_a_half() -> None:
    figures = measure([answer(0.5, 0.5)] * 40, threshold=0.0)
    assert figures.ece == 0.5
    assert figures.nll == pytest.approx(math.log(2))
    assert figures.brier == pytest.approx(0.5)


def test_a_known_few_have_known_figures() -> None:
    answers = [answer(0.7, 0.2, 0.1), answer(0.6, 0.4, right=1)]
    figures = measure(answers, threshold=0.3)
    assert (figures.count, figures.accuracy) == (2, 0.5)
    assert figures.chance == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert figures.nll == pytest.approx(-(math.log(0.7) + math.log(0.4)) / 2)
    assert figures.brier == pytest.approx(((0.09 + 0.04 + 0.01) + (0.36 + 0.36)) / 2)
    assert (figures.abstains, figures.accuracy_above) == (0.5, 1.0)
    assert figures.distance is None


def test_an_impossible_answer_that_was_right_costs_much_and_not_without_end() -> None:
    assert 30 < measure([answer(1.0, 0.0, right=1)], threshold=0.0).nll < 40


def test_with_all_abstaining_nothing_is_said_of_the_rest() -> None:
    figures = measure([answer(0.5, 0.5)], threshold=0.1)
    assert (figures.abstains, figures.accuracy_above) == (1.0, None)


def test_a_score_is_off_by_the_steps_of_its_expected_value() -> None:
    between = answer(0.0, 0.5, 0.5, right=0, kind=Kind.SCORE)
    exact = answer(0.0, 0.0, 1.0, right=2, kind=Kind.SCORE)
    assert measure([between, exact, answer(1.0, 0.0)], threshold=0.0).distance == pytest.approx(0.75)


@pytest.mark.parametrize(("count", "bins"), [(1, 1), (49, 1), (50, 2), (74, 2), (249, 9), (1000, 10)])
def test_a_bin_is_never_too_small_to_say_something(count: int, bins: int) -> None:
    found = reliability(drawn(count))
    assert len(found) == bins
    assert sum(each.count for each in found) == count
    assert max(each.count for each in found) - min(each.count for each in found) <= 1
    assert [each.confidence for each in found] == sorted(each.confidence for each in found)


def test_so_few_answers_have_an_error_by_chance_which_is_told() -> None:
    answers = drawn(5000)
    few = [measure(answers[begin : begin + 60], threshold=0.0) for begin in range(0, 4800, 60)]
    found = sum(each.ece for each in few) / len(few)
    told = sum(each.ece_by_chance for each in few) / len(few)
    assert 0.05 < found < 0.15
    assert told == pytest.approx(found, abs=0.01)


@pytest.mark.parametrize(
    ("right", "count", "expected"),
    [(0, 10, (0.0, 0.278)), (5, 10, (0.237, 0.763)), (10, 10, (0.722, 1.0)), (81, 100, (0.722, 0.875))],
)
def test_the_true_share_lies_in_wilsons_interval(
    right: int, count: int, expected: tuple[float, float]
) -> None:
    assert interval(right, count) == pytest.approx(expected, abs=0.001)


def test_the_first_of_equals_is_the_pick() -> None:
    assert answer(0.25, 0.375, 0.375).pick == 1
    assert answer(0.25, 0.375, 0.375).margin == 0


def test_answers_without_a_group_are_in_none() -> None:
    answers = [Judged(Kind.CHOICE, (1.0, 0.0), 0, domain=domain) for domain in ("logs", "", "home", "logs")]
    groups = grouped(answers, lambda each: each.domain)
    assert {name: len(group) for name, group in groups.items()} == {"home": 1, "logs": 2}
