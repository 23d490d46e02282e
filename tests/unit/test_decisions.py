"""Scores of options become answers."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.messages import Decide, Question, QuestionKind, Right, Shot
from edgeassist.protocol import decisions
from edgeassist.protocol.calibration import Calibration
from edgeassist.protocol.decisions import DecisionAnswer, DecisionRequest
from edgeassist.serving.scores import answer_to, answers_of, decide_of, probabilities

ROOM = {"type": "choice", "instructions": "Which room?", "criteria": ["kitchen", "bath", "hall"]}
URGENT = {"type": "yes_no", "instructions": "Is it urgent?"}
RISK = {"type": "score", "instructions": "How risky is it?", "minimum": 0, "maximum": 10, "step": 2.5}


def asked(questions: dict[str, Any], **fields: Any) -> DecisionRequest:
    return DecisionRequest.model_validate({"state": "the lamp", "questions": questions, **fields})


def answer(
    question: dict[str, Any], *scores: float, temperature: float = 1.0, threshold: float = 0.2
) -> DecisionAnswer:
    return answer_to(decisions.Question.model_validate(question), scores, temperature, threshold)


def of_options(count: int) -> dict[str, Any]:
    return {**ROOM, "criteria": [f"o{number}" for number in range(count)]}


def told(answer: DecisionAnswer) -> dict[str, float]:
    assert answer.probabilities is not None
    return answer.probabilities


def test_log_odds_become_probabilities_of_the_options_in_their_order() -> None:
    given = answer(ROOM, math.log(1), math.log(7), math.log(2))
    assert list(told(given).items()) == [("kitchen", 0.1), ("bath", 0.7), ("hall", 0.2)]
    assert (given.type, given.choice, given.margin, given.abstain) == ("choice", "bath", 0.5, False)
    assert (given.score, given.noul) == (None, None)


def test_a_higher_temperature_makes_less_sure_and_changes_no_pick() -> None:
    sure, unsure = answer(ROOM, 0, 3, 1), answer(ROOM, 0, 3, 1, temperature=2)
    assert sure.choice == unsure.choice == "bath"
    assert told(unsure)["bath"] == pytest.approx(
        math.exp(1.5) / (1 + math.exp(1.5) + math.exp(0.5)), abs=1e-6
    )
    assert (unsure.margin or 0) < (sure.margin or 0)


@pytest.mark.parametrize(("threshold", "abstains"), [(0.0, False), (0.5, False), (0.500001, True), (1, True)])
def test_an_answer_whose_margin_is_under_the_threshold_abstains(threshold: float, *, abstains: bool) -> None:
    given = answer(ROOM, math.log(1), math.log(7), math.log(2), threshold=threshold)
    assert given.abstain is abstains


def test_of_equals_the_first_option_is_the_pick() -> None:
    given = answer(ROOM, 1, 2, 2)
    assert (given.choice, given.margin, given.abstain) == ("bath", 0.0, True)
    assert (answer(ROOM, 0, 0, 0).choice, answer(ROOM, 0, 0, 0).margin) == ("kitchen", 0.0)
    assert told(answer(ROOM, 0, 0, 0)) == {"kitchen": 0.333334, "bath": 0.333333, "hall": 0.333333}


def test_a_question_of_yes_or_no_tells_the_probability_of_yes() -> None:
    given = answer(URGENT, math.log(1), math.log(3))
    assert (given.type, given.choice, given.noul) == ("yes_no", "no", 0.25)
    assert told(given) == {"yes": 0.25, "no": 0.75}


def test_a_score_tells_its_expected_value_on_its_own_scale() -> None:
    given = answer(RISK, *map(math.log, (1, 1, 6, 1, 1)))
    assert list(told(given)) == ["0", "2.5", "5", "7.5", "10"]
    assert (given.choice, given.score) == ("5", 5.0)
    levels = {"type": "score", "instructions": "How heavy?", "criteria": ["idle", "light", "heavy"]}
    assert answer(levels, *map(math.log, (1, 1, 2))).score == 1.25


def test_scores_that_leave_no_doubt_are_certain_and_finite() -> None:
    given = answer(ROOM, -1e9, 0, -1e9, temperature=0.05)
    assert told(given) == {"kitchen": 0.0, "bath": 1.0, "hall": 0.0}
    assert given.margin == 1.0
    lost = answer(ROOM, -1e9, -1e9, -2e9)
    assert told(lost) == {"kitchen": 0.5, "bath": 0.5, "hall": 0.0}
    assert "NaN" not in lost.model_dump_json()


@given(
    st.lists(st.floats(min_value=-1e9, max_value=1e9), min_size=2, max_size=decisions.MAX_OPTIONS),
    st.floats(min_value=0.05, max_value=20),
)
def test_probabilities_sum_to_one_whatever_the_scores(scores: list[float], temperature: float) -> None:
    given = answer(of_options(len(scores)), *scores, temperature=temperature)
    shares = list(told(given).values())
    assert abs(math.fsum(shares) - 1) <= 1e-9
    assert all(0 <= share <= 1 for share in shares)
    assert all(len(f"{share:.10f}".rstrip("0")) <= len("0.123456") for share in shares)
    assert given.choice == max(told(given), key=told(given).__getitem__)
    # Rounding turns no order round.
    exact = probabilities(scores, temperature)
    ranked = sorted(range(len(scores)), key=lambda at: (exact[at], -at))
    assert [shares[at] for at in ranked] == sorted(shares)


@given(st.lists(st.floats(min_value=-30, max_value=30), min_size=5, max_size=5))
def test_an_expected_value_lies_on_its_scale(scores: list[float]) -> None:
    assert 0 <= (answer(RISK, *scores).score or 0) <= 10


def test_each_kind_of_question_has_its_temperature_and_a_request_its_threshold() -> None:
    request = asked({"room": ROOM, "urgent": URGENT, "risk": RISK}, threshold=0.9)
    scores = [(0.0, 2.0, 0.0), (2.0, 0.0), (2.0, 0.0, 0.0, 0.0, 0.0)]
    given = answers_of(request, scores, Calibration(choice=1, score=2, yes_no=4, threshold=0.1))
    assert list(given) == ["room", "urgent", "risk"]
    assert told(given["room"])["bath"] == pytest.approx(math.exp(2) / (math.exp(2) + 2), abs=1e-6)
    assert given["urgent"].noul == pytest.approx(1 / (1 + math.exp(-0.5)), abs=1e-6)
    assert told(given["risk"])["0"] == pytest.approx(math.e / (math.e + 4), abs=1e-6)
    assert all(each.abstain for each in given.values())
    own = answers_of(asked({"room": ROOM}), [scores[0]], Calibration(threshold=0.1))
    assert not own["room"].abstain


def test_the_engine_is_told_texts_options_notes_and_examples() -> None:
    questions = {
        "urgent": {**URGENT, "criteria": {"true": "a person must act"}, "type": "noul"},
        "risk": RISK,
    }
    examples = [{"state": {"b": 1}, "answers": {"risk": 5.0, "urgent": "no"}}]
    request = asked(questions, state={"a": [1, "ä"]}, instructions="Be careful.", examples=examples)
    urgent = Question(QuestionKind.YES_NO, "Is it urgent?", ("yes", "no"), ("a person must act", ""))
    risk = Question(QuestionKind.SCORE, "How risky is it?", ("0", "2.5", "5", "7.5", "10"))
    assert decide_of("7", request, Calibration(prior=0.5)) == Decide(
        id="7",
        state='{"a":[1,"ä"]}',
        questions=(urgent, risk),
        instructions="Be careful.",
        shots=(Shot('{"b":1}', (Right(1, "5"), Right(0, "no"))),),
        prior=0.5,
    )


def test_an_answer_is_json_of_system_ones_names() -> None:
    document = json.loads(answer(URGENT, 1, 0).model_dump_json(exclude_none=True))
    assert list(document) == ["type", "choice", "probabilities", "margin", "abstain", "noul"]
