"""Bound answers of real engines, whose random weights would say anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Constraint,
    ConstraintKind,
    Delta,
    Finish,
    Sampling,
)
from tests.integration.driver import GREEDY, Engine, start

SCHEMA = {
    "type": "object",
    "properties": {
        "room": {"enum": ["kitchen", "living room", "厨房"]},
        "on": {"type": "boolean"},
        "level": {"type": "integer", "minimum": 0, "maximum": 100},
        "why": {"type": "string", "maxLength": 12},
    },
    "required": ["room", "on", "level", "why"],
    "additionalProperties": False,
}
ROOMS = ["kitchen", "living room", "厨房"]
GBNF = 'root ::= "<" [a-z]+ ">" | "none"'
LARK = 'start: NAME "=" /[0-9]{1,3}/\nNAME: "x" | "y"'
WARM = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0)


def json_schema(schema: Any = SCHEMA) -> Constraint:
    return Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(schema))


def grammar(text: str) -> Constraint:
    return Constraint(ConstraintKind.GRAMMAR, text)


CHOICE = Constraint(ConstraintKind.CHOICE, json.dumps(ROOMS))
REGEX = Constraint(ConstraintKind.REGEX, "[0-9]{2}:[0-9]{2}")


def valid(constraint: Constraint, text: str) -> bool:
    match constraint.kind:
        case ConstraintKind.JSON_SCHEMA:
            return bool(Draft202012Validator(json.loads(constraint.text)).is_valid(json.loads(text)))
        case ConstraintKind.CHOICE:
            return text in ROOMS
        case ConstraintKind.REGEX:
            return re.fullmatch(constraint.text, text) is not None
        case ConstraintKind.GRAMMAR:
            pattern = "<[a-z]+>|none" if "::=" in constraint.text else "[xy]=[0-9]{1,3}"
            return re.fullmatch(pattern, text) is not None


@pytest.fixture(scope="module", params=["llama", "onnx"])
def bounding(request: pytest.FixtureRequest, trial_model: Path, trial_onnx: Path) -> Iterator[Engine]:
    """An engine of each kind."""
    with Engine() as running:
        running.load(request.param, {"llama": trial_model, "onnx": trial_onnx}[request.param])
        yield running


@pytest.mark.parametrize(
    "constraint",
    [json_schema(), CHOICE, REGEX, grammar(GBNF), grammar(LARK)],
    ids=["schema", "choice", "regex", "gbnf", "lark"],
)
@pytest.mark.parametrize(
    "sampling", [GREEDY, WARM, Sampling(repeat_penalty=1.3)], ids=["cold", "warm", "penalty"]
)
def test_an_answer_is_one_that_its_bounds_allow(
    bounding: Engine, constraint: Constraint, sampling: Sampling
) -> None:
    prompts = [f"Tell me about number {number}" for number in range(8)]
    answers = bounding.ask(*prompts, constraint=constraint, sampling=sampling, max_tokens=200)
    complete = [answer.text for answer in answers if answer.finished.reason is Finish.STOP]
    assert complete
    assert [text for text in complete if not valid(constraint, text)] == []


def test_only_the_end_is_sampled_of_an_answer_without_a_choice(bounding: Engine) -> None:
    only = Constraint(ConstraintKind.CHOICE, '["nothing else"]')
    answer = bounding.answer("What?", constraint=only)
    assert answer.text == "nothing else"
    assert answer.finished.reason is Finish.STOP


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9])
def test_an_answer_that_is_cut_is_a_beginning_of_the_whole_one(bounding: Engine, limit: int) -> None:
    whole = bounding.answer("Tell me", constraint=json_schema(), max_tokens=200)
    cut = bounding.answer("Tell me", constraint=json_schema(), max_tokens=limit)
    assert cut.finished.reason is Finish.LENGTH
    assert cut.finished.completion_tokens == limit
    assert whole.text.startswith(cut.text)


def test_a_stop_text_ends_a_bound_answer_too(bounding: Engine) -> None:
    answer = bounding.answer("Tell me", constraint=json_schema(), max_tokens=200, stop=('"on"',))
    assert answer.finished.reason is Finish.STOP
    assert re.fullmatch(r'\{"room":".*",', answer.text)


def test_a_seed_gives_the_same_bound_answer(bounding: Engine) -> None:
    sampling = Sampling(temperature=1.2, seed=5)
    first, second = bounding.ask(
        "Tell me", "Tell me", constraint=json_schema(), sampling=sampling, max_tokens=200
    )
    assert first.text == second.text


def test_an_answer_that_may_not_end_by_itself_still_ends_when_it_is_complete(bounding: Engine) -> None:
    sampling = Sampling(temperature=0, ignore_eos=True)
    answer = bounding.answer("Tell me", constraint=CHOICE, sampling=sampling)
    assert answer.text in ROOMS


@pytest.mark.parametrize(
    ("constraint", "word"),
    [
        (json_schema({"type": "colour"}), "json_schema"),
        (Constraint(ConstraintKind.REGEX, "[a-"), "regex"),
        (grammar("start: nowhere"), "grammar"),
        (grammar("root ::= nowhere"), "grammar"),
    ],
)
def test_what_can_not_be_compiled_is_refused_and_nobody_else_hears_of_it(
    bounding: Engine, constraint: Constraint, word: str
) -> None:
    failed = bounding.answer("Tell me", constraint=constraint).failed
    assert failed.code == "invalid_request"
    assert failed.message.startswith(word)
    assert "\n" not in failed.message
    assert bounding.answer("And now?", constraint=CHOICE).text in ROOMS


def test_a_bound_answer_is_cancelled_and_its_slot_is_free(bounding: Engine) -> None:
    endless = Constraint(ConstraintKind.REGEX, "a[ab]*c")
    sampling = Sampling(temperature=0, ignore_eos=True)
    request = start("Go on", request="endless", constraint=endless, sampling=sampling, max_tokens=900)
    bounding.send(request)
    bounding.until(lambda event: isinstance(event, Delta) and event.id == "endless")
    bounding.send(Cancel("endless"))
    assert isinstance(bounding.wait("endless").ending, Cancelled)
    assert bounding.answer("And now?", constraint=CHOICE).text in ROOMS


def test_a_pattern_that_becomes_too_much_on_the_way_fails_alone(bounding: Engine) -> None:
    huge = Constraint(ConstraintKind.REGEX, "(?:a?){300}a{300}")
    answer = bounding.answer("Tell me", constraint=huge, max_tokens=400)
    failed = answer.failed
    assert failed.code == "invalid_request"
    assert failed.message.startswith("what bounds the answer can't be followed any further")
    assert set(answer.text) <= {"a"}
    assert bounding.answer("And now?", constraint=CHOICE).text in ROOMS


# --- beside others, with llama.cpp, which serves several at once --------------------------------------------


def test_a_bound_answer_changes_nothing_for_those_beside_it(llama: Engine) -> None:
    alone = llama.answer("Once upon a time", max_tokens=60).text
    llama.send(
        start("Once upon a time", request="free", max_tokens=60),
        *(
            start(f"Tell me {n}", request=f"bound{n}", constraint=json_schema(), max_tokens=200)
            for n in range(3)
        ),
    )
    assert llama.wait("free").text == alone
    for number in range(3):
        bound = llama.wait(f"bound{number}")
        assert bound.finished.reason is Finish.LENGTH or valid(json_schema(), bound.text)


def test_a_bound_answer_is_the_same_with_drafts_and_without(
    trial_model: Path, fresh: Engine, llama: Engine
) -> None:
    # An array of equal parts repeats itself, so drafts are tried.
    part = {"type": "object", "properties": {"on": {"const": True}}, "required": ["on"]}
    schema = {"type": "array", "items": {**part, "additionalProperties": False}, "minItems": 6, "maxItems": 9}
    fresh.load("llama", trial_model, speculate=False)
    for constraint in (json_schema(schema), json_schema()):
        with_drafts, without = (
            engine.answer("Tell me", constraint=constraint, max_tokens=200) for engine in (llama, fresh)
        )
        assert with_drafts.text == without.text
        assert with_drafts.finished.completion_tokens == without.finished.completion_tokens


def test_bound_answers_that_have_no_room_together_are_those_that_they_would_be_alone(
    trial_model: Path, fresh: Engine
) -> None:
    fresh.load("llama", trial_model, context=400, kv_tokens=420, slots=3)
    prompts = [f"Number {number} and all that was said of it before. " * 6 for number in range(3)]
    alone = [fresh.answer(prompt, constraint=json_schema(), max_tokens=90).text for prompt in prompts]
    assert [answer.text for answer in fresh.ask(*prompts, constraint=json_schema(), max_tokens=90)] == alone
