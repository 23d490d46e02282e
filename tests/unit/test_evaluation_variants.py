"""Cases that are asked otherwise, and of a model that writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgeassist.evaluation.cases import Case, read_cases
from edgeassist.evaluation.generation import json_request, picks_of
from edgeassist.evaluation.variants import Variation, vary

QUESTIONS: dict[str, Any] = {
    "room": {"type": "choice", "instructions": "Which room?", "criteria": {"bath": "wet", "hall": None}},
    "load": {"type": "score", "instructions": "How heavy?", "criteria": ["light", "fair", "heavy"]},
    "risk": {"type": "score", "instructions": "How risky?", "minimum": 0, "maximum": 2},
    "done": {"type": "yes_no", "instructions": "Is it done?"},
}
EXPECTED = {"room": "bath", "load": "fair", "risk": 1, "done": "no"}


def case(**changes: Any) -> Case:
    document = {"state": "It drips.", "questions": QUESTIONS, "expected": EXPECTED, **changes}
    (found,) = read_cases(json.dumps(document), name="cases")
    return found


def test_a_case_may_be_asked_again_as_it_is() -> None:
    (variant,) = vary([case()], Variation.REPEATED)
    assert variant.case == case()
    assert variant.original["load"] == {each: each for each in ("light", "fair", "heavy")}
    assert set(variant.original) == set(QUESTIONS)


def test_a_choices_options_are_reversed_and_a_scale_is_not() -> None:
    (variant,) = vary([case()], Variation.REVERSED)
    assert variant.original == {"room": {"hall": "hall", "bath": "bath"}}
    assert variant.case.questions["room"].options == ("hall", "bath")
    assert variant.case.questions["room"].notes == ("", "wet")
    for name in ("load", "risk", "done"):
        assert variant.case.questions[name] == case().questions[name]
    assert variant.case.expected == case().expected


def test_every_second_name_is_longer_and_says_the_same() -> None:
    (variant,) = vary([case()], Variation.PREFIXED)
    assert variant.case.questions["room"].options == ("what is called bath", "hall")
    assert variant.case.questions["room"].notes == ("wet", "")
    assert variant.case.questions["load"].options == ("what is called light", "fair", "what is called heavy")
    assert variant.case.expected == {**case().expected, "room": "what is called bath"}
    assert variant.original["load"] == {
        "what is called light": "light",
        "fair": "fair",
        "what is called heavy": "heavy",
    }
    assert set(variant.original) == {"room", "load"}


def test_words_may_stand_behind_the_names_too() -> None:
    (variant,) = vary([case()], Variation.LENGTHENED)
    assert variant.case.questions["room"].options == ("bath, to say it in full", "hall")
    assert variant.case.expected["room"] == "bath, to say it in full"
    assert variant.original["room"]["bath, to say it in full"] == "bath"


def test_examples_are_renamed_with_the_options() -> None:
    examples = [{"state": "Steam.", "answers": {"room": "bath", "risk": 2}}]
    (variant,) = vary([case(examples=examples)], Variation.PREFIXED)
    assert variant.case.fields["examples"] == [
        {"state": "Steam.", "answers": {"room": "what is called bath", "risk": "2"}}
    ]


def test_the_case_itself_stays_as_it_was() -> None:
    ours = case()
    before = json.dumps(ours.fields)
    list(vary([ours], Variation.LENGTHENED))
    assert json.dumps(ours.fields) == before


def test_a_chinese_name_becomes_longer_in_chinese() -> None:
    room = {"type": "choice", "instructions": "哪个房间？", "criteria": ["浴室", "走廊"]}
    (variant,) = vary([case(questions={"room": room}, expected={"room": "浴室"})], Variation.LENGTHENED)
    assert variant.case.questions["room"].options == ("浴室，就是这一项", "走廊")


def test_a_name_at_the_limit_and_a_question_of_yes_or_no_can_not_be_asked_otherwise() -> None:
    full = {"type": "choice", "instructions": "Which?", "criteria": ["x" * 50, "short"]}
    for questions, expected in (({"a": full}, {"a": "short"}), ({"a": QUESTIONS["done"]}, {"a": "yes"})):
        assert list(vary([case(questions=questions, expected=expected)], Variation.LENGTHENED)) == []


def test_a_prompt_for_json_has_all_that_the_decision_has() -> None:
    examples = [{"state": {"flow": 3}, "answers": {"room": "bath"}}]
    asked = case(state={"flow": 2}, instructions="You judge taps.", examples=examples)
    request = json_request(asked.fields, asked.questions)
    assert request["system"].startswith("You judge taps.\n")
    for part in (
        'State:\n{"flow":3}',
        '"bath"',
        'State:\n{"flow":2}',
        "room: Which room? Options: bath (wet), hall",
    ):
        assert part in request["prompt"]
    assert "risk: How risky? Options: 0, 1, 2" in request["prompt"]
    schema = request["json_schema"]
    assert schema["required"] == list(QUESTIONS)
    assert schema["properties"]["done"] == {"enum": ["yes", "no"]}


def test_with_percents_the_json_tells_as_much_as_the_decision() -> None:
    schema = json_request(case().fields, case().questions, percents=True)["json_schema"]
    room = schema["properties"]["room"]["properties"]
    assert room["pick"] == {"enum": ["bath", "hall"]}
    assert room["percents"]["required"] == ["bath", "hall"]


@pytest.mark.parametrize(
    ("text", "picks"),
    [
        ('{"room": "hall", "load": "fair", "risk": "1", "done": "yes"}', ["hall", "fair", "1", "yes"]),
        ('{"room": "attic", "load": 1, "risk": ["1"]}', [None] * 4),
        ('{"room": "hall"', [None] * 4),
        ('"hall"', [None] * 4),
    ],
)
def test_what_names_no_option_is_no_pick(text: str, picks: list[str | None]) -> None:
    assert list(picks_of(text, case().questions).values()) == picks
