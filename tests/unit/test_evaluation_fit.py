"""What is fitted to answers whose temperature is known."""

from __future__ import annotations

import pytest

from edgeassist.errors import InvalidRequestError
from edgeassist.evaluation.fit import (
    COLDEST,
    HOTTEST,
    LEAST_ABOVE,
    LEAST_ANSWERS,
    fit,
    fit_temperature,
    fit_threshold,
    fit_together,
    with_temperature,
)
from edgeassist.evaluation.metrics import Judged, measure
from edgeassist.protocol.decisions import Kind
from tests.unit.test_evaluation_metrics import answer, drawn

ONES = dict.fromkeys(Kind, 1.0)


@pytest.mark.parametrize("times", [0.5, 1.0, 3.0, 8.0])
def test_scores_that_were_multiplied_are_divided_by_as_much(times: float) -> None:
    calibrated = fit_temperature(drawn(1000))
    assert calibrated == pytest.approx(1.0, abs=0.1)
    multiplied = [with_temperature(each, 1 / times) for each in drawn(1000)]
    assert fit_temperature(multiplied) == pytest.approx(times * calibrated, rel=0.02)


def test_what_was_too_sure_is_calibrated_when_fitted_and_picks_the_same() -> None:
    too_sure = drawn(2000, sharpened=3.0)
    fitted = fit(too_sure, in_force=ONES, wanted=0.9).applied(too_sure, ONES)
    assert measure(too_sure, threshold=0.0).ece > 0.15
    assert measure(fitted, threshold=0.0).ece < 0.03
    assert [each.pick for each in fitted] == [each.pick for each in too_sure]


def test_probabilities_sum_to_one_at_any_temperature() -> None:
    for temperature in (COLDEST, 1.0, HOTTEST):
        assert sum(with_temperature(answer(0.9, 0.1, 0.0), temperature).probabilities) == pytest.approx(1)


def test_a_model_that_is_always_right_and_one_that_guesses_end_at_the_limits() -> None:
    assert fit_temperature([answer(0.6, 0.4)] * 40) == pytest.approx(COLDEST, rel=0.01)
    assert fit_temperature([answer(0.6, 0.4, right=each % 2) for each in range(40)]) == pytest.approx(
        HOTTEST, rel=0.01
    )


def test_each_kind_has_its_own_temperature_and_one_with_few_answers_that_of_all() -> None:
    choices = drawn(1000, sharpened=4.0)
    yes_no = [Judged(Kind.YES_NO, each.probabilities, each.right) for each in drawn(1000)]
    scores = [Judged(Kind.SCORE, each.probabilities, each.right) for each in drawn(LEAST_ANSWERS - 1)]
    answers = [*choices, *yes_no, *scores]
    fitted = fit(answers, in_force=ONES, wanted=0.9).temperatures
    together = fit_together(answers, in_force=ONES, wanted=0.9).temperatures
    assert fitted[Kind.CHOICE] == pytest.approx(4.0, rel=0.1)
    assert fitted[Kind.YES_NO] == pytest.approx(1.0, rel=0.1)
    assert set(together.values()) == {fitted[Kind.SCORE]}
    assert 1.1 < fitted[Kind.SCORE] < 3.9


def test_the_temperatures_in_force_are_counted_in() -> None:
    raw = drawn(500, sharpened=4.0)
    came = [with_temperature(each, 2.0) for each in raw]
    in_force = dict.fromkeys(Kind, 2.0)
    at_one, at_two = fit(raw, in_force=ONES, wanted=0.9), fit(came, in_force=in_force, wanted=0.9)
    assert at_two.temperatures == pytest.approx(at_one.temperatures)
    assert at_two.threshold == at_one.threshold
    applied = at_two.applied(came, in_force)
    for ours, theirs in zip(applied, at_one.applied(raw, ONES), strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities)


def test_the_threshold_is_the_least_margin_from_which_on_enough_is_right() -> None:
    answers = [answer(0.5 + sure / 200, 0.5 - sure / 200, right=int(sure < 40)) for sure in range(100)]
    assert fit_threshold(answers, wanted=1.0) == 0.4
    assert fit_threshold(answers, wanted=0.6) == 0.0
    above = [each for each in answers if each.margin >= fit_threshold(answers, wanted=0.9)]  # type: ignore[operator]
    assert sum(each.is_right for each in above) >= 0.9 * len(above)


def test_no_threshold_is_found_where_too_few_answers_would_be_left() -> None:
    sure = [answer(0.99, 0.01)] * (LEAST_ABOVE - 1)
    guesses = [answer(0.6, 0.4, right=each % 2) for each in range(40)]
    assert fit_threshold([*sure, *guesses], wanted=0.9) is None
    assert fit_threshold([*sure, sure[0], *guesses], wanted=0.9) is not None


def test_answers_that_are_too_few_to_fit_to_are_told() -> None:
    with pytest.raises(InvalidRequestError, match="at least 30 questions with known answers, not 29"):
        fit(drawn(29), in_force=ONES, wanted=0.9)
