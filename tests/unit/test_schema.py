import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import edgeassist
from edgeassist.engine.constraints import reading
from edgeassist.engine.constraints.explanation import explain
from edgeassist.engine.constraints.schema import MAX_BYTES, grammar_of_schema
from edgeassist.engine.nesting import MAX_DEPTH
from edgeassist.errors import InvalidRequestError
from tests.judge.walks import allows, matcher, walks

OPEN = {"properties": {"a": {"type": "integer"}}}
NODE = {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False}


def refusal(document: Any) -> str:
    with pytest.raises(InvalidRequestError) as refused:
        grammar_of_schema(document if isinstance(document, str) else json.dumps(document))
    assert refused.value.message.startswith("json_schema: #")
    assert "\n" not in refused.value.message
    return refused.value.message.removeprefix("json_schema: ")


def allowed(document: Any, *answers: str) -> list[bool]:
    grammar = grammar_of_schema(json.dumps(document))
    return [allows(grammar, answer.encode()) for answer in answers]


@pytest.mark.parametrize(
    "keyword",
    [
        *(
            "not",
            "if",
            "then",
            "else",
            "contains",
            "minContains",
            "maxContains",
            "propertyNames",
            "dependencies",
        ),
        *(
            "dependentRequired",
            "dependentSchemas",
            "unevaluatedProperties",
            "unevaluatedItems",
            "$vocabulary",
        ),
        *("$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "additionalItems", "contentEncoding"),
        *("contentMediaType", "contentSchema", "nullable", "x-guidance", "id", "proprties"),
    ],
)
def test_a_keyword_that_is_not_enforced_is_refused_with_its_name_and_place(keyword: str) -> None:
    told = refusal({"properties": {"a/b": {keyword: {}}}})
    assert told.startswith(f"#/properties/a~1b: the keyword '{keyword}' is not enforced here")


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"uniqueItems": True}, "the keyword 'uniqueItems' is not enforced here"),
        ({"format": "iri"}, "the format 'iri' is not enforced here; these are: date, "),
        ({"pattern": "^(?=a)"}, "'pattern' can't be enforced: a lookahead is not enforced here"),
        ({"multipleOf": 0.1}, "'multipleOf' is enforced for whole numbers"),
        ({"$ref": "https://example.com/schema"}, "'$ref' is followed within the schema only"),
        ({"$ref": "#/$defs/none"}, "'$ref' points to #/$defs/none, where nothing is"),
        (
            {"$schema": "http://json-schema.org/draft-04/schema#"},
            "'$schema' names a draft that is not read here",
        ),
        ({"$id": "other"}, "the keyword '$id' is enforced at the top only"),
        ({"items": [{}]}, "'items' with a list is of an older draft: write 'prefixItems'"),
        ({"enum": []}, "'enum' takes a list of values, one at least"),
        ({"const": 2**53 + 1}, "'const' has a number of more than 15 digits"),
        ({"const": 0.1234567890123456}, "'const' has a number of more than 15 digits"),
        ({"const": "\x01"}, "the character U+0001 is not written here"),
        ({"minimum": 1e300}, "a bound beyond 2^53"),
        ({"type": "text"}, "'type' takes one of null, boolean"),
        ({"minLength": -1}, "'minLength' takes a whole number, 0 or more"),
        ({"maxItems": 10**9}, "'maxItems' is enforced up to 1,000"),
        ({"required": "a"}, "'required' takes a list of names"),
        ({"minProperties": 2}, "'minProperties' is enforced up to one more than 'required' names"),
        ({"patternProperties": {"^a": {}}}, "'patternProperties' is enforced with"),
        (
            {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            "'oneOf' is enforced where its schemas can't both hold",
        ),
        ({"$ref": "#/properties/a"}, "it refers to itself with no object or list between"),
        ({"exclusiveMinimum": True}, "'exclusiveMinimum' takes a number"),
    ],
)
def test_what_is_not_enforced_as_it_is_meant_is_refused_where_it_stands(
    part: dict[str, Any], told: str
) -> None:
    assert refusal({"type": "object", "properties": {"a": part}}).startswith(f"#/properties/a: {told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "#: not JSON: "),
        ('{"const": NaN}', "#: not JSON: NaN is no number"),
        ('{"type": "null", "type": "object"}', '#: "type" stands twice in one object'),
        ("[]", "#: a schema is an object, true or false"),
        ("[" * 60_000, "#: objects and lists stand more than 64 deep in one another"),
        ('{"title": "' + "x" * MAX_BYTES + '"}', "#: the schema has more than 65,536 bytes"),
        ('"\\ud800"', "#: a schema is an object"),
    ],
)
def test_what_is_no_schema_is_refused(text: str, told: str) -> None:
    assert refusal(text).startswith(told)


def test_a_schema_with_too_many_parts_or_too_deep_is_refused() -> None:
    deep: Any = {}
    for _ in range(MAX_DEPTH - 1):
        deep = {"items": deep}
    assert not matcher(grammar_of_schema(json.dumps(deep))).is_error()
    assert "stand more than 64 deep" in refusal({"items": deep})
    assert "stand more than 64 deep" in refusal('{"const": ' + "[" * 500 + "]" * 500 + "}")
    assert "more than 2,000 schemas" in refusal({"prefixItems": [{}] * reading.MAX_SCHEMAS})


def chain(count: int) -> dict[str, Any]:
    links: dict[str, Any] = {f"x{at}": {"items": {"$ref": f"#/$defs/x{at + 1}"}} for at in range(count)}
    return {"$ref": "#/$defs/x0", "$defs": {**links, f"x{count}": {"type": "null"}}}


def test_a_chain_of_references_has_a_limit() -> None:
    assert not matcher(grammar_of_schema(json.dumps(chain(190)))).is_error()
    assert "more than 400 schemas deep" in refusal(chain(300))


def test_one_of_that_takes_too_much_to_tell_apart_is_refused() -> None:
    numbers = [{"enum": list(range(at, at + 400))} for at in (0, 400)]
    assert "takes too much to find out" in refusal({"oneOf": numbers})


@pytest.mark.parametrize(
    "document",
    [
        False,
        {"$ref": "#/$defs/a", "$defs": {"a": False}},
        {**NODE, "required": ["next"]},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {
            "allOf": [{"$ref": "#/$defs/a"}],
            "$defs": {"a": {"type": "array", "prefixItems": [{"$ref": "#"}], "minItems": 1}},
        },
    ],
)
def test_a_schema_without_a_finite_answer_is_refused(document: Any) -> None:
    assert refusal(document) == "#: no finite answer fulfils it"


def test_a_property_that_would_never_end_is_left_out() -> None:
    endless = {**NODE, "required": ["next"], "properties": {"next": {"$ref": "#/$defs/endless"}}}
    document = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/endless"}, "b": {"type": "null"}},
        "$defs": {"endless": endless},
    }
    assert allowed({**document, "additionalProperties": False}, "{}", '{"b":null}') == [True, True]
    grammar = grammar_of_schema(json.dumps({**document, "additionalProperties": False}))
    assert set(walks(grammar, 30, "left out")) == {b"{}", b'{"b":null}'}


def test_a_schema_may_refer_to_itself_through_an_object_or_a_list() -> None:
    assert allowed(NODE, "{}", '{"next":{"next":{}}}', '{"next":1}') == [True, True, False]


def test_a_reference_finds_its_place_however_it_is_written() -> None:
    document = {"$defs": {"a/b ~c%": {"type": "null"}}, "$ref": "#/$defs/a~1b%20~0c%25"}
    assert allowed(document, "null", "1") == [True, False]
    document = {
        "properties": {"a": {"type": "null"}, "b": {"$ref": "#/properties/a"}},
        "required": ["b"],
        "type": "object",
    }
    assert allowed(document, '{"b":null}', '{"b":1}') == [True, False]


def test_the_answer_is_compact_and_keeps_the_order_of_properties() -> None:
    document = {
        "type": "object",
        "properties": {"b": {}, "a": {}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert allowed(document, '{"b":1,"a":2}', '{"a":2}', '{"a":2,"b":1}', '{"a": 2}') == [
        True,
        True,
        False,
        False,
    ]


def test_no_spelling_of_a_name_gets_round_what_its_property_must_be() -> None:
    assert allowed({"type": "object", **OPEN}, '{"a":1}', '{"b":""}', r'{"\u0061":""}') == [True, True, False]


def test_a_property_beside_a_pattern_fulfils_both() -> None:
    document = {
        "type": "object",
        "properties": {"ab": {"minimum": 5}},
        "patternProperties": {"^a": {"type": "integer"}},
        "additionalProperties": False,
    }
    assert allowed(document, '{"ab":5}', '{"ab":4}', '{"ac":4}', '{"ac":""}', '{"x":1}') == [
        True,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("option", "other"),
    [
        ({"type": "null"}, {"type": "string"}),
        ({"const": "a"}, {"enum": ["b", 1]}),
        ({"$ref": "#/$defs/on"}, {"$ref": "#/$defs/off"}),
        (
            {"required": ["kind"], "properties": {"kind": {"const": 1}}},
            {"properties": {"kind": {"const": 2}}},
        ),
    ],
)
def test_one_of_is_enforced_where_its_schemas_are_apart(option: Any, other: Any) -> None:
    kinds = {
        name: {"type": "object", "properties": {"kind": {"const": name}}, "required": ["kind"]}
        for name in ("on", "off")
    }
    document = {"$defs": kinds, "oneOf": [option, other]}
    if "required" in option:
        document["type"] = "object"
    assert list(walks(grammar_of_schema(json.dumps(document)), 5, "one of"))


def test_annotations_are_taken_and_a_name_that_looks_like_a_keyword_is_one() -> None:
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "",
        "description": "",
        "default": 1,
        "examples": [],
        "deprecated": True,
        "readOnly": False,
        "$comment": "",
        "x-order": 3,
        "type": "object",
        "properties": {"not": {"type": "null"}, "$ref": {"type": "null"}, "x-guidance": {"type": "null"}},
        "additionalProperties": False,
    }
    assert allowed(document, '{"not":null,"$ref":null,"x-guidance":null}') == [True]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no answer fulfils it"),
        ({"allOf": [{"type": "null"}, {"type": "string"}]}, "no answer fulfils it"),
        ({"type": "string", "pattern": "^a$", "minLength": 2}, "no answer fulfils it"),
        (
            {"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1},
            "'minProperties' and 'maxProperties' are enforced where all names in 'properties' are required",
        ),
        (
            {"type": "object", "patternProperties": {"a": {}, "b": {}}, "additionalProperties": False},
            "two patterns of 'patternProperties' may match the same name: make them differ, or merge them",
        ),
        (
            {
                "allOf": [
                    {"anyOf": [{"properties": {f"{at}": {"const": each}}} for each in range(4)]}
                    for at in range(8)
                ]
            },
            "it takes too much to compile: make it smaller, or simpler",
        ),
    ],
)
def test_what_only_a_compile_shows_is_told_in_words_of_ours(document: Any, told: str) -> None:
    matched = matcher(grammar_of_schema(json.dumps(document)))
    assert matched.is_error()
    assert explain(matched.get_error()) == told


def test_the_largest_schemas_compile_and_begin() -> None:
    texts = [f"value number {number}" for number in range(900)]
    for document in (
        {"enum": texts},
        {"type": "object", "properties": {name: {"type": "string", "maxLength": 99} for name in texts}},
        {"type": "array", "items": {"type": "array", "items": {}, "maxItems": 1000}, "maxItems": 1000},
        {"type": "string", "minLength": 5000, "maxLength": 100_000, "pattern": "^(a|b)*$"},
    ):
        matched = matcher(grammar_of_schema(json.dumps(document)))
        assert not matched.is_error()
        assert any(matched.compute_bitmask())


def test_true_is_any_json() -> None:
    anything: Any = True
    assert allowed(anything, "1", "[null]", "{") == [True, True, False]


def test_a_pattern_a_format_and_what_is_merged_hold_together() -> None:
    document = {
        "type": "string",
        "pattern": "^2",
        "format": "date",
        "allOf": [{"pattern": "1$"}, {"maxLength": 10}],
    }
    assert allowed(document, '"2024-01-01"', '"1024-01-01"', '"2024-01-02"', '"21"') == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("value", [1e15, 0.1, 19.99, -0.5, 1, 2**53, -(2**53), 0, 1e-7, 123456.789012345])
def test_a_number_is_written_as_every_reader_takes_it(value: float) -> None:
    for answer in walks(grammar_of_schema(json.dumps({"const": value})), 2, value):
        assert json.loads(answer) == value


@pytest.mark.parametrize("number", ["1e400", "1" * 400, "-1e400"])
def test_a_number_that_is_none_to_most_readers_is_refused(number: str) -> None:
    assert "15 digits" in refusal(f'{{"const": [{number}]}}')
    assert "takes a number" in refusal(f'{{"minimum": {number}}}')


def test_the_actions_of_edgeassist_tiny_are_answers_that_end() -> None:
    text = (Path(edgeassist.__file__).parent / "assets" / "tiny" / "action.schema.json").read_text()
    judge = Draft202012Validator(json.loads(text))
    found = list(walks(grammar_of_schema(text), 50, "actions"))
    assert len(found) >= 25
    assert all(judge.is_valid(json.loads(answer)) for answer in found)
