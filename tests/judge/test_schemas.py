"""Schemas as hypothesis draws them: whatever is accepted, no answer is ever invalid."""

import json
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from edgeassist.engine.constraints.schema import grammar_of_schema
from edgeassist.errors import InvalidRequestError
from tests.judge import strategies
from tests.judge.walks import allows, matcher, walks

EXAMPLES = 150
WALKS = 5


def validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_no_answer_to_a_drawn_schema_is_invalid() -> None:
    told = Counter[str]()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(strategies.schemas())
    def holds(schema: dict[str, Any]) -> None:
        try:
            grammar = grammar_of_schema(json.dumps(schema))
        except InvalidRequestError:
            told["refused"] += 1
            return
        if matcher(grammar).is_error():
            told["not compiled"] += 1
            return
        told["accepted"] += 1
        judge = validator(schema)
        for answer in walks(grammar, WALKS, json.dumps(schema)):
            assert judge.is_valid(json.loads(answer)), answer
            told["valid"] += 1

    holds()
    assert told["accepted"] >= EXAMPLES // 3
    assert told["valid"] >= EXAMPLES


def test_bounds_of_numbers_hold_to_the_last_digit() -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
    @given(strategies.bounded(), strategies.NUMBERS)
    def holds(schema: dict[str, Any], near: float) -> None:
        try:
            grammar = grammar_of_schema(json.dumps(schema))
        except InvalidRequestError:
            return
        if matcher(grammar).is_error():
            return
        judge = validator(schema)
        bounds = [schema[key] for key in strategies.BOUNDS if key in schema]
        for text in strategies.spelled([near, *bounds]):
            if allows(grammar, text.encode()):
                assert judge.is_valid(json.loads(text)), text
        for answer in walks(grammar, WALKS, json.dumps(schema)):
            assert judge.is_valid(json.loads(answer)), answer

    holds()
