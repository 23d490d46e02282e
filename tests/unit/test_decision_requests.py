"""What may be asked to be decided."""

import json
from typing import Any

import pytest

from edgeassist.errors import InvalidRequestError, TooLargeError
from edgeassist.protocol.decisions import (
    MAX_EXAMPLES,
    MAX_OPTIONS,
    MAX_QUESTIONS,
    DecisionRequest,
    Kind,
    parse_decision,
)
from edgeassist.protocol.requests import parse_prompt

ROOM = {"type": "choice", "instructions": "Which room?", "criteria": ["kitchen", "bath"]}
YES = {"type": "yes_no", "instructions": "Is it urgent?"}
SCORE = {"type": "score", "instructions": "How risky?", "minimum": 0, "maximum": 10}


def parse(document: object) -> DecisionRequest:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_decision(data, limit=100_000)


def one(**changes: Any) -> dict[str, Any]:
    return {"state": "x", "questions": {"q": {**ROOM, **changes}}}


def problem(document: object) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        parse(document)
    return caught.value.message


def test_all_fields_are_read() -> None:
    request = parse(
        {
            "id": 7,
            "state": {"power": [3, 2, 1]},
            "instructions": "You judge a home.",
            "examples": [{"state": "y", "answers": {"room": "bath", "risk": 5}}],
            "questions": {"room": ROOM, "urgent": YES, "risk": SCORE},
            "threshold": 0.3,
            "timeout_s": 5,
            "priority": "low",
            "metadata": {"a": 1},
        }
    )
    assert (request.id, request.threshold, request.priority) == ("7", 0.3, "low")
    assert request.questions["risk"].options == tuple(map(str, range(11)))
    assert not request.streams


def test_system_ones_words_for_yes_and_no_are_taken() -> None:
    request = parse({"state": "x", "questions": {"q": {**YES, "type": "noul", "criteria": {"true": "now"}}}})
    question = request.questions["q"]
    assert (question.type, question.options, question.notes) == (Kind.YES_NO, ("yes", "no"), ("now", ""))


def test_options_may_be_described() -> None:
    question = parse(one(criteria={"kitchen": None, "bath": "also the shower"})).questions["q"]
    assert (question.options, question.notes) == (("kitchen", "bath"), ("", "also the shower"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"Which room is meant?", "a decision is a JSON object with state"),
        (b"[1]", "a decision is a JSON object with state"),
        (b"", "a decision is a JSON object with state"),
        ({"prompt": "x"}, "unknown field 'prompt': send a prompt to <root>/prompt"),
        ({"state": "x", "question": ROOM}, "unknown field 'question': send questions, an object"),
        ({"state": " ", "questions": {"q": ROOM}}, "state: is empty"),
        ({"state": None, "questions": {"q": ROOM}}, "state: is empty"),
        ({"state": "x", "questions": {}}, f"questions: takes 1 to {MAX_QUESTIONS} questions, not 0"),
        ({"state": "x", "questions": dict.fromkeys(map(str, range(33)), YES)}, "questions, not 33"),
        ({"state": "x", "questions": {"": ROOM}}, "a question's name has 1 to 64 printable characters"),
        (one(options=["a", "b"]), "unknown field 'questions.q.options': send criteria"),
        (one(question="?"), "unknown field 'questions.q.question': send instructions"),
        (one(instructions="  "), "questions.q.instructions: is empty"),
        (one(type="rank"), "questions.q.type: "),
        (one(criteria=["a"]), f"criteria: takes 2 to {MAX_OPTIONS} options, not 1"),
        (one(criteria=None), f"criteria: takes 2 to {MAX_OPTIONS} options, not 0"),
        (one(criteria=[f"o{n}" for n in range(33)]), f"criteria: takes 2 to {MAX_OPTIONS} options, not 33"),
        (one(criteria=["a", "a"]), "has an option twice"),
        (one(criteria=["on", "On "]), "two options are equal but for case and white space"),
        (one(criteria=["a", " "]), "an option is empty"),
        (one(criteria=["a", "b" * 65]), "an option is limited to 64 characters"),
        (one(criteria=[1, 2]), "q.criteria: must be a list of texts, or an object of what each means"),
        (one(criteria="a,b"), "q.criteria: must be a list of texts, or an object of what each means"),
        (one(range=[0, 10]), "unknown field 'questions.q.range': send minimum and maximum"),
        (one(minimum=1), "minimum, maximum and step are a score's"),
        ({"state": "x", "questions": {"q": {**SCORE, "step": 0.1}}}, "has 101 steps, and at most 32"),
        ({"state": "x", "questions": {"q": {**SCORE, "step": 3}}}, "must be a whole number of steps"),
        ({"state": "x", "questions": {"q": {**SCORE, "step": 0}}}, "questions.q.step: "),
        ({"state": "x", "questions": {"q": {**SCORE, "minimum": 10}}}, "minimum must be less than maximum"),
        ({"state": "x", "questions": {"q": {**SCORE, "max": 3}}}, "questions.q.max': send maximum"),
        ({**one(), "threshold": 2}, "threshold: "),
        ({**one(), "examples": [{"state": "y", "answers": {"r": "a"}}]}, "examples.0.answers: there is no"),
        ({**one(), "examples": [{"state": "y", "answers": {"q": "hall"}}]}, "'hall' is none of its options"),
        ({**one(), "examples": [{"state": "y", "answers": {}}] * (MAX_EXAMPLES + 1)}, "examples: "),
        ({**one(), "stream": True}, "unknown field 'stream'"),
        (b'{"state": 1e999, "questions": {"q": {"type": "yes_no", "instructions": "?"}}}', "state: "),
    ],
)
def test_what_can_not_be_decided_is_refused_with_what_to_do(document: object, said: str) -> None:
    assert said in problem(document)


def test_numbers_that_differ_only_in_writing_are_the_same_level() -> None:
    request = {**one(), "questions": {"q": SCORE}, "examples": [{"state": "y", "answers": {"q": 3.0}}]}
    assert parse(request).examples[0].answers == {"q": 3.0}


def test_a_state_is_nested_64_deep_at_most() -> None:
    deep: Any = "x"
    for _ in range(65):
        deep = [deep]
    assert "nested more than 64 deep" in problem({**one(), "state": deep})


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("1e999", "a number that JSON has not"),
        ('{"power": [NaN]}', "a number that JSON has not"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
    ],
)
def test_the_state_of_an_example_is_held_to_what_a_state_is(state: str, said: str) -> None:
    example = f'{{"state": {state}, "answers": {{"q": "kitchen"}}}}'
    payload = json.dumps(one())[:-1] + f', "examples": [{example}]}}'
    assert said in problem(payload.encode())


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"minimum": 0, "maximum": 1e308, "step": 1e307}, "limited to 64 characters"),
        ({"minimum": 0, "maximum": 3e-320, "step": 1e-320}, "limited to 64 characters"),
        ({"minimum": 0, "maximum": 1e308, "step": 0.1}, "has over 1000000 steps"),
    ],
)
def test_numbers_of_a_range_are_as_short_as_options_and_said_shortly(
    numbers: dict[str, float], said: str
) -> None:
    found = problem({"state": "x", "questions": {"q": {**SCORE, **numbers}}})
    assert said in found
    assert len(found) < 200


def test_bare_text_has_room_for_one_answer() -> None:
    assert parse({**one(), "format": "text"}).questions
    two = {"state": "x", "questions": {"a": YES, "b": YES}, "format": "text"}
    assert "format: text has room for the answer to one question" in problem(two)


def test_a_payload_over_the_limit_is_too_large() -> None:
    with pytest.raises(TooLargeError):
        parse_decision(json.dumps(one()).encode(), limit=20)


def test_questions_on_a_prompt_topic_are_told_where_they_belong() -> None:
    with pytest.raises(InvalidRequestError, match="'questions': send a decision to <root>/decide"):
        parse_prompt(json.dumps(one()).encode(), limit=1000)
