"""Files of cases: what they may say, and what is told of those that can't be read."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from edgeassist.errors import InvalidRequestError
from edgeassist.evaluation.cases import Case, Split, read_cases, splits_of
from edgeassist.evaluation.evaluate import load_cases
from edgeassist.evaluation.fit import LEAST_ANSWERS
from edgeassist.evaluation.source import BUILTIN
from edgeassist.protocol.decisions import Kind

ROOM = {"type": "choice", "instructions": "Which room?", "criteria": ["kitchen", "bath"]}
LOAD = {"type": "score", "instructions": "How heavy?", "minimum": 0, "maximum": 2, "step": 0.5}
DONE = {"type": "yes_no", "instructions": "Is it done?"}


def line(**changes: Any) -> str:
    case = {"state": "It drips.", "questions": {"room": ROOM}, "expected": {"room": "bath"}}
    return json.dumps({**case, **changes})


def read(*lines: str) -> list[Case]:
    return read_cases("\n".join(lines), name="my.jsonl")


def test_a_users_own_case_needs_state_questions_and_what_is_right() -> None:
    (case,) = read(line())
    assert case.expected == {"room": "bath"}
    assert case.questions["room"].options == ("kitchen", "bath")
    assert (case.domain, case.language, case.split) == ("", "", None)
    assert dict(case.fields) == {"state": "It drips.", "questions": {"room": ROOM}}


def test_a_case_of_ours_says_what_it_is_about_and_for() -> None:
    (case,) = read(line(domain="home", language="zh", split="held-out", instructions="You judge."))
    assert (case.domain, case.language, case.split) == ("home", "zh", Split.HELD_OUT)
    assert case.fields["instructions"] == "You judge."


def test_what_is_right_may_be_written_as_json_has_it() -> None:
    questions = {"load": LOAD, "done": DONE, "heavy": {**LOAD, "instructions": "More?"}}
    (case,) = read(line(questions=questions, expected={"load": 1, "done": True, "heavy": 1.50}))
    assert case.expected == {"load": "1", "done": "yes", "heavy": "1.5"}
    assert case.questions["done"].type is Kind.YES_NO


def test_empty_lines_count_as_lines_only() -> None:
    cases = read("\ufeff" + line(), "", "  ", line() + "\r", "")
    assert [case.line for case in cases] == [1, 4]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", "is no JSON: "),
        ("[" * 100_000, "is no JSON: "),
        ("[1]", "must be a JSON object"),
        (line(stat="?"), "unknown field 'stat'; a case has state, questions"),
        (line(state=""), "state: is empty"),
        (line(questions={"room": {**ROOM, "criteria": ["bath"]}}), "takes 2 to 32 options, not 1"),
        (line(expected={}), "expected: must be an object, such as"),
        (line(expected="bath"), "expected: must be an object, such as"),
        (line(expected={"rom": "bath"}), "expected: there is no question 'rom'"),
        (line(expected={"room": "attic"}), "expected.room: 'attic' is none of its options: kitchen, bath"),
        (line(expected={"room": None}), "expected.room: 'null' is none of its options"),
        (line(expected={"room": ["bath"]}), "expected.room: '"),
        (line(split="test"), 'split: must be "fit" or "held-out"'),
        (line(split=["fit"]), 'split: must be "fit" or "held-out"'),
        (line(domain=7), "domain: must be text"),
    ],
)
def test_what_is_no_case_is_told_with_its_line(bad: str, told: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(line(), bad)
    assert caught.value.message.startswith(f"my.jsonl, line 2: {told}") or (
        told in caught.value.message and caught.value.message.startswith("my.jsonl, line 2: ")
    )


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_cases_is_told_what_a_case_is(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="has no cases; each is one line of JSON"):
        read_cases(text, name="my.jsonl")


def test_cases_are_split_as_they_say_or_in_halves() -> None:
    said = read(line(split="held-out"), line(split="fit"), line(split="held-out"))
    assert [[case.line for case in part] for part in splits_of(said)] == [[2], [1, 3]]
    assert [[case.line for case in part] for part in splits_of(read(*[line()] * 5))] == [[1, 2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([line()], "at least two cases"),
        ([line(split="fit"), line()], "line 2: has no split, and others have"),
        ([line(split="fit")] * 2, 'all cases have the split "fit"'),
    ],
)
def test_cases_that_can_not_be_split_are_told(lines: list[str], told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        splits_of(read(*lines))


def test_all_cases_that_are_shipped_can_be_asked_and_have_both_splits() -> None:
    cases, _ = load_cases(BUILTIN)
    for part in splits_of(cases):
        kinds = Counter(case.questions[name].type for case in part for name in case.expected)
        assert all(kinds[kind] >= LEAST_ANSWERS for kind in Kind)
    assert {case.language for case in cases} == {"en", "zh"}
