import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgeassist.engine.constraints.schema import grammar_of_schema
from tests import component
from tests.judge.walks import allows

component.install()

from custom_components.edgeassist.schemas import (  # noqa: E402 - the package must be in place first
    complete,
    enforceable,
    tidied,
    told,
)

# As Home Assistant 2026.2.3 and 2026.11.0 write their selectors and tools.
SELECTORS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "boolean": {"type": "boolean"},
    "number": {"type": "number", "minimum": 0, "maximum": 100},
    "select": {"type": "string", "enum": ["a", "b"]},
    "select several": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "uniqueItems": True},
    "color_rgb": {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 3,
        "maxItems": 3,
        "format": "RGB",
    },
    "color_temp": {"type": "number", "minimum": 2000.0, "maximum": 6500.0},
    "country": {"type": "string", "format": "ISO 3166-1 alpha-2"},
    "language": {"type": "string", "format": "RFC 5646"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "time": {"type": "string", "format": "time"},
    "duration": {
        "type": "object",
        "properties": {"hours": {"type": "number"}, "minutes": {"type": "number"}},
        "required": [],
    },
    "entity": {"type": "string", "format": "entity_id"},
    "entities": {"type": "array", "items": {"type": "string", "format": "entity_id"}},
    "template": {"type": "string", "format": "jinja2"},
    "backup": {"type": "string", "pattern": "^(?:\\/backup|\\w+)$"},
    "object": {"type": "object", "additionalProperties": True},
    "object of fields": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    "nullable": {"type": "string", "nullable": True},
    "null by type": {"type": ["string", "null"]},
    "one of": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    "any of lists": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    "what is not known": {"type": "string", "x-new": 1, "frobnicate": True},
    "unbound": {"type": "integer", "minimum": -(10**30), "maximum": 10**30, "exclusiveMinimum": False},
}


def allowed(schema: dict[str, Any], answer: Any) -> bool:
    text = answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":"))
    return allows(grammar_of_schema(json.dumps(schema)), text.encode())


@pytest.mark.parametrize("name", SELECTORS)
def test_the_device_takes_what_home_assistant_writes(name: str) -> None:
    schema = enforceable({"type": "object", "properties": {"it": SELECTORS[name]}, "required": ["it"]})
    Draft202012Validator.check_schema(schema)
    grammar_of_schema(json.dumps(schema))
    grammar_of_schema(json.dumps(complete(schema)))


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("time", "07:30:00", "07:30:00Z"),
        ("datetime", "2026-11-29 07:30:00", "2026-11-29T07:30:00Z"),
        ("color_rgb", [255, 0, 12], [256, 0, 12]),
        ("entity", "light.kitchen", "the kitchen's light"),
        ("country", "CH", "Switzerland"),
        ("select several", ["a", "b"], ["a", "b", "a"]),
        ("nullable", None, 5),
        ("one of", 5, None),
        ("number", 100, 101),
    ],
)
def test_what_home_assistant_means_by_its_formats_is_enforced(name: str, right: Any, wrong: Any) -> None:
    schema = enforceable(SELECTORS[name])
    assert allowed(schema, json.dumps(right, separators=(",", ":")))
    assert not allowed(schema, json.dumps(wrong, separators=(",", ":")))


STRUCTURE = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "What it is about"},
        "level": {"type": "number", "minimum": 0, "maximum": 10.0},
        "kinds": {"type": "array", "items": {"type": "string", "enum": ["rain", "wind"]}},
        "where": {"type": "object", "properties": {"room": {"type": "string"}}},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["title", "maybe"],
    "additionalProperties": False,
}


def test_no_answer_leaves_out_what_may_be_left_out() -> None:
    schema = complete(STRUCTURE)
    assert not allowed(schema, {"title": "Storm", "maybe": None})
    whole = {"title": "Storm", "level": None, "kinds": ["wind"], "where": {"room": None}, "maybe": None}
    assert allowed(schema, whole)
    assert not allowed(schema, {**whole, "title": None})
    assert STRUCTURE["required"] == ["title", "maybe"]


def test_what_is_not_known_is_left_out_of_the_result_and_a_null_that_is_wanted_stays() -> None:
    answer = {"title": "Storm", "level": None, "kinds": ["wind"], "where": {"room": None}, "maybe": None}
    found = tidied(answer, STRUCTURE)
    assert found == {"title": "Storm", "kinds": ["wind"], "where": {}, "maybe": None}
    Draft202012Validator(STRUCTURE).validate(found)


def test_a_model_is_told_each_field_with_what_home_assistant_says_of_it() -> None:
    assert told(STRUCTURE).splitlines()[1:] == [
        "- title: What it is about; text",
        "- level: number from 0 to 10; null if unknown",
        "- kinds: list of one of rain, wind; null if unknown",
        "- where: object of room; null if unknown",
        "- maybe: text, or null",
    ]


# As other integrations' tools have them, and a script's field with no option yet.
ODD: list[Any] = [
    True,
    {"type": "string", "enum": []},
    {"anyOf": []},
    {"anyOf": [True]},
    {"type": "file"},
    {"type": ["string", "any"]},
    {"type": "array", "items": [{"type": "string"}]},
    {"type": "array", "maxItems": 1_000_000},
    {"type": "string", "maxLength": 1_000_000},
    {"type": "string", "pattern": "^(?!x)a"},
    {"type": "string", "pattern": "(?i)abc"},
    {"type": "string", "pattern": r"^(a)\1$"},
    {"type": "string", "pattern": r"\bword\b"},
    {"type": "string", "pattern": r"\A\d+\Z"},
    {"type": "object", "properties": ["a"], "required": True},
]


@pytest.mark.parametrize("schema", ODD, ids=str)
def test_the_device_takes_what_others_write_too(schema: Any) -> None:
    grammar_of_schema(json.dumps(enforceable({"type": "object", "properties": {"it": schema}})))


@pytest.mark.parametrize("pattern", [r"^\w+\.\d{2}$", r"a\\bc", "^(?:a|b)*$"])
def test_a_pattern_that_the_device_enforces_stays(pattern: str) -> None:
    schema = enforceable({"type": "string", "pattern": pattern})
    assert schema["pattern"] == pattern
    grammar_of_schema(json.dumps(schema))
