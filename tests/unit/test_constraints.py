"""What a request may say of its answer, and what of it reaches the engine."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
from pydantic import JsonValue

from edgeassist.engine.messages import Constraint, ConstraintKind, Failed
from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.constraints import (
    CONSTRAINTS,
    MAX_CHOICE_CHARACTERS,
    MAX_CHOICES,
    MAX_CONSTRAINT_BYTES,
    MAX_SCHEMA_DEPTH,
)
from edgeassist.protocol.requests import PromptRequest, parse_prompt
from tests.unit.conftest import MakeHouse

GIVEN: dict[str, Any] = {
    "json_schema": {"type": "object"},
    "regex": "[0-9]+",
    "choice": ["on", "off"],
    "grammar": "start: /[a-z]+/",
}


def parse(**fields: object) -> PromptRequest:
    return parse_prompt(json.dumps({"prompt": "x", **fields}).encode(), limit=1 << 20)


def problem(**fields: object) -> str:
    with pytest.raises(InvalidRequestError) as refusal:
        parse(**fields)
    return refusal.value.message


def nested(depth: int) -> dict[str, JsonValue]:
    """Return a schema of so many objects and lists in each other."""
    schema: dict[str, JsonValue] = {}
    for _ in range((depth - 1) // 2):
        schema = {"allOf": [schema]}
    return schema if depth % 2 else {"not": schema}


# --- what is taken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_each_bound_goes_with_every_form_of_answer(name: str) -> None:
    for more in ({"format": "text"}, {"stream": False}, {"end": "short"}, {"max_packet": 256}):
        assert parse(**{name: GIVEN[name]}, **more).constraints == (name,)


def test_a_request_without_one_is_not_bound() -> None:
    assert parse().constraints == parse(**dict.fromkeys(CONSTRAINTS)).constraints == ()


def test_the_largest_that_may_be_is_taken_and_one_byte_more_is_not() -> None:
    frame = len('{"title":""}')
    assert parse(regex="x" * MAX_CONSTRAINT_BYTES)
    assert parse(grammar="ü" * (MAX_CONSTRAINT_BYTES // 2))
    assert parse(json_schema={"title": "x" * (MAX_CONSTRAINT_BYTES - frame)})
    words = f"has {MAX_CONSTRAINT_BYTES + 1} bytes, and is limited to {MAX_CONSTRAINT_BYTES}"
    assert problem(regex="x" * (MAX_CONSTRAINT_BYTES + 1)) == f"regex: {words}"
    assert problem(grammar="x" + "ü" * (MAX_CONSTRAINT_BYTES // 2)) == f"grammar: {words}"
    schema = {"title": "x" * (MAX_CONSTRAINT_BYTES - frame + 1)}
    assert problem(json_schema=schema) == f"json_schema: {words}"


def test_white_space_between_a_schemas_values_does_not_count() -> None:
    pretty = json.dumps({"type": "object"}, indent=MAX_CONSTRAINT_BYTES)
    assert parse_prompt(b'{"prompt": "x", "json_schema": %b}' % pretty.encode(), limit=1 << 20).json_schema


def test_a_schema_may_be_so_deep_and_no_deeper() -> None:
    assert parse(json_schema=nested(MAX_SCHEMA_DEPTH)).json_schema
    deeper = problem(json_schema=nested(MAX_SCHEMA_DEPTH + 1))
    assert deeper == f"json_schema: is nested more than {MAX_SCHEMA_DEPTH} deep"
    # pydantic's own limit says nothing of the field.
    assert "recursion limit" in problem(json_schema=nested(300))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
def test_a_schema_with_a_number_that_json_has_not_is_refused(number: bytes) -> None:
    payload = b'{"prompt": "x", "json_schema": {"minimum": %b}}' % number
    with pytest.raises(InvalidRequestError, match="json_schema: holds a number"):
        parse_prompt(payload, limit=1000)


def test_a_choice_has_a_bounded_number_of_bounded_texts() -> None:
    assert parse(choice=["only"]).choice == ("only",)
    assert parse(choice=[f"{number}" for number in range(MAX_CHOICES)]).choice
    assert parse(choice=["x" * MAX_CHOICE_CHARACTERS]).choice
    assert problem(choice=[]) == f"choice: takes 1 to {MAX_CHOICES} texts, not 0"
    many = [f"{number}" for number in range(MAX_CHOICES + 1)]
    assert problem(choice=many) == f"choice: takes 1 to {MAX_CHOICES} texts, not {MAX_CHOICES + 1}"
    long = problem(choice=["x" * (MAX_CHOICE_CHARACTERS + 1)])
    assert long == f"choice: a text is limited to {MAX_CHOICE_CHARACTERS} characters"
    much = [f"{number:{MAX_CHOICE_CHARACTERS}}" for number in range(100)]
    assert problem(choice=much).startswith("choice: has 100")
    assert problem(choice=["on", "off", "on"]) == "choice: has a text twice"
    assert problem(choice=["on", ""]) == "choice: takes no empty text"
    assert problem(choice=["on", 1]) == "choice.1: must be text, not a number"


def test_two_bounds_are_one_too_many_and_both_are_named() -> None:
    for one, other in combinations(CONSTRAINTS, 2):
        message = problem(**{one: GIVEN[one], other: GIVEN[other]})
        assert message == f"{one} and {other}: one of them can bind the answer, leave out the others"


@pytest.mark.parametrize(("name", "value"), [("stop", "."), ("stop", ["a"]), ("ignore_eos", True)])
def test_what_would_end_the_answer_elsewhere_does_not_go_with_a_bound(name: str, value: object) -> None:
    for each in CONSTRAINTS:
        fields = {each: GIVEN[each], name: value}
        assert problem(**fields) == f"{each} says where the answer ends: leave out {name}"
    assert parse(regex="a", stop=[], ignore_eos=False).constraints == ("regex",)


@pytest.mark.parametrize(
    ("field", "value", "instead"),
    [
        ("response_format", {"type": "json_object"}, "json_schema, with the schema itself"),
        ("guided_json", {}, "json_schema"),
        ("guided_choice", ["a"], "choice"),
        ("choices", ["a"], "choice"),
    ],
)
def test_what_others_call_a_field_is_refused_with_our_name_for_it(
    field: str, value: object, instead: str
) -> None:
    assert problem(**{field: value}).startswith(f"unknown field {field!r}: send {instead}")


def test_a_schema_in_openais_envelope_is_told_from_a_schema() -> None:
    envelope = {"name": "light", "strict": True, "schema": {"type": "object"}}
    assert problem(json_schema=envelope).startswith("json_schema: must be the schema itself")
    assert parse(json_schema={"properties": {"schema": {}}, "type": "object"}).json_schema


# --- what reaches the engine -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("regex", r"\d{2}", r"\d{2}"),
        ("grammar", 'root ::= "yes"\n', 'root ::= "yes"\n'),
        ("choice", ["开", 'say "no"'], '["开","say \\"no\\""]'),
        (
            "json_schema",
            {"type": "object", "properties": {"z": {"const": 1.5}, "a": {"maximum": 10**30}}},
            f'{{"type":"object","properties":{{"z":{{"const":1.5}},"a":{{"maximum":{10**30}}}}}}}',
        ),
    ],
)
def test_the_engine_is_told_of_the_bound_with_keys_in_their_order(
    make_house: MakeHouse, name: str, value: Any, text: str
) -> None:
    house = make_house()
    house.ready()
    house.ask(**{name: value})
    (start,) = house.engine.starts
    assert start.constraint == Constraint(ConstraintKind(name), text)


def test_every_bound_of_the_contract_is_one_that_the_engine_knows() -> None:
    assert list(CONSTRAINTS) == [kind.value for kind in ConstraintKind]


def test_a_session_keeps_nothing_of_a_bound(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask("first", session="s", choice=["on", "off"])
    house.finish(house.engine.starts[0].id, "on")
    house.ask("second", session="s")
    start = house.engine.starts[1]
    assert start.constraint is None
    assert [(each.role, each.content) for each in start.messages] == [
        ("user", "first"), ("assistant", "on"), ("user", "second")
    ]  # fmt: skip


def test_a_bound_outlives_the_engine_that_its_request_was_with(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask(choice=["on", "off"])
    house.requests.engines.lost("it died", planned=False)
    house.ready()
    before, after = house.engine.starts
    assert before.constraint == after.constraint is not None


def test_what_can_not_be_compiled_is_refused_in_the_engines_words_and_may_not_be_repeated(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready()
    request = house.ask(json_schema={"type": "nothing"})
    house.say(Failed(house.engine.starts[0].id, "invalid_request", "json_schema: type: no such type"))
    refusal = house.heard(request)[-1]
    assert (refusal["code"], refusal["retryable"]) == ("invalid_request", False)
    assert refusal["message"] == "json_schema: type: no such type"
    after = house.ask()
    house.finish(house.engine.starts[1].id, "still there")
    assert house.types(after) == ["accepted", "chunk", "done"]


# --- models that can't be held to it -----------------------------------------------------------------------


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_model_that_can_not_be_bound_refuses_at_once_and_by_name(make_house: MakeHouse, name: str) -> None:
    house = make_house()
    house.ready(constrains=False)
    request = house.ask(**{name: GIVEN[name]})
    assert house.types(request) == ["error"]
    assert house.error(request) == "unsupported"
    assert name in house.heard(request)[-1]["message"]
    assert house.engine.starts == []


def test_one_that_waited_for_such_a_model_is_refused_when_it_is_ready(make_house: MakeHouse) -> None:
    house = make_house()
    bound, free = house.ask(choice=["a"]), house.ask()
    assert house.types(bound) == ["accepted"]
    house.ready(constrains=False)
    assert house.error(bound) == "unsupported"
    (start,) = house.engine.starts
    house.finish(start.id, "free")
    assert house.heard(free)[-1]["text"] == "free"


def test_while_a_model_is_replaced_nothing_is_refused_for_what_the_last_one_was(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready(constrains=False)
    house.requests.engines.lost("it is replaced", planned=True)
    request = house.ask(choice=["a"])
    house.ready(constrains=True)
    house.finish(house.engine.starts[0].id, "a")
    assert house.types(request) == ["accepted", "chunk", "done"]
