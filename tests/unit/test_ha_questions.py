import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.protocol.decisions import DecisionRequest, parse_decision
from tests import component

component.install()

from custom_components.edgeassist.questions import (  # noqa: E402 - the package must be in place first
    Answer,
    AnswerError,
    Choice,
    Noul,
    Score,
    answered,
    asked,
)

TEXTS = st.text(min_size=1, max_size=80).filter(str.strip)
NOUL = st.fixed_dictionaries({"type": st.just("noul"), "instructions": TEXTS})
CHOICE = st.fixed_dictionaries(
    {
        "type": st.just("choice"),
        "instructions": TEXTS,
        "criteria": st.dictionaries(st.text(min_size=1, max_size=80), TEXTS, min_size=2, max_size=32),
    }
)
SCORE = st.fixed_dictionaries(
    {
        "type": st.just("score"),
        "instructions": TEXTS,
        "criteria": st.lists(TEXTS, min_size=2, max_size=32),
    }
)
QUESTIONS = st.dictionaries(st.text(min_size=1), NOUL | CHOICE | SCORE, min_size=1, max_size=4)


def taken(questions: dict[str, dict[str, Any]]) -> DecisionRequest:
    """Return the questions as the device takes them."""
    payload = json.dumps({"state": "It rains.", "questions": asked(questions)})
    return parse_decision(payload.encode(), limit=10**6)


def answer_of(request: DecisionRequest, picks: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Return `answers` as the device writes them, sure of one option each."""
    answers = {}
    for name, question in request.questions.items():
        pick = picks.get(name, 0) % len(question.options)
        answers[name] = {
            "type": question.type.value,
            "choice": question.options[pick],
            "probabilities": {option: float(at == pick) for at, option in enumerate(question.options)},
            "score": float(question.values[pick]) if question.type == "score" else None,
            "noul": float(pick == 0) if question.type == "yes_no" else None,
        }
    return answers


@given(QUESTIONS, st.integers(0, 40))
def test_any_question_of_home_assistant_is_taken_and_its_answer_comes_under_its_own_names(
    questions: dict[str, dict[str, Any]], pick: int
) -> None:
    request = taken(questions)
    answers = answer_of(request, dict.fromkeys(request.questions, pick))
    found = answered(questions, answers)
    assert list(found) == list(questions)
    for name, question in questions.items():
        assert_is_answer(found[name], question, pick)


def assert_is_answer(answer: Answer, question: dict[str, Any], pick: int) -> None:
    match answer:
        case Noul():
            assert question["type"] == "noul"
            assert answer.noul == float(pick % 2 == 0)
        case Choice():
            options = list(question["criteria"])
            assert answer.choice == options[pick % len(options)]
            assert list(answer.probabilities) == options
            assert answer.probabilities[answer.choice] == 1
        case Score():
            assert answer.score == pick % len(question["criteria"])
            assert answer.probabilities.index(1) == answer.score
            assert len(answer.probabilities) == len(question["criteria"])


def test_options_keep_their_names_where_the_device_can_tell_them_apart() -> None:
    questions: dict[str, dict[str, Any]] = {
        "room": {
            "type": "choice",
            "instructions": "Which room?",
            "criteria": {"kitchen": "where one cooks", "hall": "hall"},
        },
        "how bad": {"type": "score", "instructions": "How bad?", "criteria": ["fine", "x" * 65]},
    }
    assert [question["criteria"] for question in asked(questions).values()] == [
        {"kitchen": "where one cooks", "hall": None},
        {"0": "fine", "1": "x" * 65},
    ]


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"1": {}},
        {"1": {"choice": "a"}},
        {"1": {"choice": "a", "probabilities": None}},
        {"1": {"choice": "a", "probabilities": {"a": 1.0}}},
    ],
)
def test_an_answer_without_its_probabilities_is_none(answers: dict[str, Any]) -> None:
    questions = {"q": {"type": "choice", "instructions": "Which?", "criteria": {"a": "a", "b": "b"}}}
    with pytest.raises(AnswerError, match=r"^q: "):
        answered(questions, answers)
