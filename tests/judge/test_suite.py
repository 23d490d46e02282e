"""The official test suite judges what we say we enforce."""

import json
from collections import Counter
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgeassist.engine.constraints.schema import grammar_of_schema
from edgeassist.errors import InvalidRequestError
from tests.judge.suite import Case, cases
from tests.judge.walks import allows, matcher, walks

WALKS = 20
# What the suite is about and we refuse by name, or what it contains to be refused.
LEAST_ACCEPTED = 170


@cache
def accepted() -> list[tuple[Case, str]]:
    found = []
    for case in cases():
        try:
            grammar = grammar_of_schema(json.dumps(case.schema))
        except InvalidRequestError:
            continue
        if not matcher(grammar).is_error():
            found.append((case, grammar))
    return found


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def is_of_format(case: Case) -> bool:
    """Return whether the suite is of the opinion that `format` says nothing, and we are not."""
    return case.name.startswith("suite/format.json")


def test_most_of_the_suite_that_is_not_about_what_we_refuse_is_accepted() -> None:
    assert len(accepted()) >= LEAST_ACCEPTED


def test_no_instance_that_the_suite_calls_invalid_is_allowed() -> None:
    wrong = [
        (case.name, instance)
        for case, grammar in accepted()
        for instance, valid in case.instances
        if not valid and allows(grammar, compact(instance))
    ]
    assert wrong == []


def test_all_answers_to_schemas_of_the_suite_are_valid() -> None:
    told = Counter[bool]()
    for case, grammar in accepted():
        validator = Draft202012Validator(case.schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for answer in walks(grammar, WALKS, case.name):
            valid = validator.is_valid(json.loads(answer))
            told[valid] += 1
            assert valid, (case.name, case.schema, answer)
    assert told[True] >= 3000


# Each as the suite has it, with what an answer is instead (docs/json-schema.md).
NARROWER = {
    "allOf.json": "properties come in the schema's order",
    "const.json": "a value has one spelling: 1, not 1.0; properties come in the schema's order",
    "enum.json": "a value has one spelling: 1, not 1.0",
    "type.json": "an integer is written without a point",
    "optional/bignum.json": "a bound ends at 2^53",
    "optional/float-overflow.json": "an integer is written without an exponent",
    "optional/ecmascript-regex.json": "classes are what dialects agree on; no control characters",
    "optional/format/date-time.json": "no leap seconds, capitals",
    "optional/format/time.json": "no leap seconds, capitals",
    "optional/format/email.json": "no quotes, no addresses, no rare characters",
    "optional/format/hostname.json": "labels of at most 61 characters, no two hyphens together",
    "optional/format/ipv6.json": "no IPv4 in it",
    "optional/format/uri.json": "hosts by name or IPv4; no account; of schemes without host, five",
}


def test_every_valid_instance_is_allowed_where_answers_are_not_narrower_on_purpose() -> None:
    refused = Counter[str]()
    for case, grammar in accepted():
        file = case.name.partition(":")[0].removeprefix("suite/")
        if not is_of_format(case):
            refused.update(
                file for value, valid in case.instances if valid and not allows(grammar, compact(value))
            )
    assert set(refused) == set(NARROWER)


@pytest.mark.parametrize(
    "kind", ["additionalProperties", "anyOf", "items", "minLength", "properties", "required"]
)
def test_a_keyword_that_is_enforced_has_schemas_in_the_suite_that_are_accepted(kind: str) -> None:
    assert [case for case, _ in accepted() if case.name.startswith(f"suite/{kind}.json")]
