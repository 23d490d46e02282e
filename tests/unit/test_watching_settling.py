import pytest

from edgeassist.protocol.decisions import DecisionAnswer
from edgeassist.watching.settling import Settled


def answer(*, abstain: bool = False, **probabilities: float) -> DecisionAnswer:
    choice = max(probabilities, key=lambda each: probabilities[each])
    ranked = sorted(probabilities.values(), reverse=True)
    return DecisionAnswer(
        type="choice",
        choice=choice,
        probabilities=probabilities,
        margin=ranked[0] - ranked[1],
        abstain=abstain,
        score=probabilities.get("yes"),
    )


YES, NO = answer(yes=0.9, no=0.1), answer(yes=0.1, no=0.9)


def after(*answers: tuple[float, DecisionAnswer], dwell_s: float = 0, hysteresis: float = 0) -> Settled:
    known = Settled()
    for at, each in answers:
        known = known.take(each, at, dwell_s=dwell_s, hysteresis=hysteresis)
    return known


def test_without_a_dwell_time_an_answer_counts_at_once() -> None:
    known = after((1, YES))
    assert (known.choice, known.since, known.score, known.candidate) == ("yes", 1, 0.9, None)
    known = after((1, YES), (2, NO))
    assert (known.choice, known.since, known.answer) == ("no", 2, NO)


def test_an_answer_counts_once_it_has_held() -> None:
    known = after((0, YES), dwell_s=10)
    assert (known.choice, known.candidate) == (None, "yes")
    assert known.settle(9.9, dwell_s=10) == known
    settled = known.settle(10, dwell_s=10)
    assert (settled.choice, settled.since, settled.candidate) == ("yes", 10, None)
    assert after((0, YES), (4, YES), (10, YES), dwell_s=10).choice == "yes"


def test_an_answer_that_does_not_hold_changes_nothing() -> None:
    known = after((0, YES), (10, YES), (20, NO), (25, YES), (28, NO), dwell_s=10)
    assert (known.choice, known.since, known.candidate, known.held_since) == ("yes", 10, "no", 28)
    assert known.settle(30, dwell_s=10).choice == "yes"
    assert known.settle(38, dwell_s=10).choice == "no"


@pytest.mark.parametrize(("no", "choice"), [(0.54, "yes"), (0.6, "no")])
def test_an_answer_must_be_ahead_of_the_one_that_counts(no: float, choice: str) -> None:
    assert after((0, YES), (1, answer(yes=1 - no, no=no)), hysteresis=0.1).choice == choice


def test_the_first_answer_need_not_be_ahead_of_any() -> None:
    assert after((0, answer(yes=0.51, no=0.49)), hysteresis=0.5).choice == "yes"


def test_an_answer_that_abstains_changes_nothing_and_ends_what_it_interrupts() -> None:
    unsure = answer(abstain=True, yes=0.45, no=0.55)
    assert after((0, unsure)).choice is None
    known = after((0, YES), (10, YES), (20, NO), (25, unsure), dwell_s=10)
    assert (known.choice, known.candidate, known.answer) == ("yes", None, unsure)
    # It agrees with what counts, so that there is nothing to be sure of.
    assert after((0, YES), (1, answer(abstain=True, yes=0.55, no=0.45))).score == 0.55


def test_a_score_is_that_of_the_last_answer_that_agrees_with_what_counts() -> None:
    known = after((0, YES), (10, YES), (20, answer(yes=0.7, no=0.3)), (30, NO), dwell_s=10)
    assert (known.score, known.answer) == (0.7, NO)
    assert known.settle(40, dwell_s=10).score == 0.1
