"""The JSON Schema of the settings says what the settings take."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr, ValidationError

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.decisions import DecisionRequest
from edgeassist.protocol.requests import PromptRequest
from edgeassist.settings import Settings, live_keys
from edgeassist.settings.keys import field_of, keys
from edgeassist.settings.published import schema_of, schema_text
from edgeassist.settings.schema import Settings as AllTables
from scripts.contract.schemas import Schema, schemas_of
from tests.unit.test_settings_example import EXAMPLE, uncommented

SCHEMA: dict[str, Any] = json.loads(schema_text())
VALIDATOR = Draft202012Validator(SCHEMA)
TABLES = {name: each for name, each in SCHEMA["properties"].items() if each["type"] == "object"}


def at(table: str, key: str) -> Schema:
    found: Schema = TABLES[table]["properties"][key]
    return found


def problems(values: object) -> list[str]:
    return [f"{each.json_path}: {each.message}" for each in VALIDATOR.iter_errors(values)]


def numbers(schema: Schema) -> Iterator[float]:
    """Yield the numbers at the bounds of a schema, and those next to them."""
    for part in [schema, *schema.get("anyOf", ())]:
        for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if bound in part:
                yield from (part[bound] - 1, part[bound], part[bound] + 1)


def test_it_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_defaults_and_all_that_the_example_file_shows_are_valid() -> None:
    assert problems({}) == []
    assert problems(Settings().public()) == []
    assert problems(tomllib.loads(uncommented())) == []


@pytest.mark.parametrize(
    "text",
    [
        "[mqtt]\nhots = 'broker'",
        "[mqt]",
        "[engine]\nthreads = 'many'",
        "[daemon]\nlog_level = 'verbose'",
        "[[watch]]\nname = 'laundry'",
        "[watch]\nname = 'laundry'",
    ],
)
def test_what_is_no_setting_is_not_valid(text: str) -> None:
    assert problems(tomllib.loads(text)) != []


def test_every_key_is_there_with_a_description_of_its_own() -> None:
    texts = {name: each["description"] for name, each in SCHEMA["properties"].items()}
    assert list(texts) == list(Settings.model_fields)
    for table, part in TABLES.items():
        texts |= {f"{table}.{key}": each["description"] for key, each in part["properties"].items()}
    watch = SCHEMA["properties"]["watch"]["items"]["properties"]
    texts |= {f"watch.{key}": each["description"] for key, each in watch.items()}
    assert {".".join(key) for key in keys()} <= set(texts)
    assert [name for name, text in texts.items() if not text] == []


def test_it_says_which_keys_need_a_restart() -> None:
    restart = {
        f"{table}.{key}"
        for table, part in TABLES.items()
        for key, each in part["properties"].items()
        if each.get("requiresRestart")
    }
    assert restart == {".".join(key) for key in keys()} - set(live_keys())


def test_secrets_are_write_only_and_no_others_are() -> None:
    secret = {key for key in keys() if len(key) == 2 and SecretStr in str_args(field_of(key).annotation)}
    marked = {key for key in keys() if len(key) == 2 and at(*key).get("writeOnly")}
    assert marked == secret
    assert secret


def str_args(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))


@pytest.mark.parametrize("table", TABLES)
def test_bounds_are_those_of_the_code(table: str) -> None:
    kind = type(AllTables.model_fields[table].default)
    tried = 0
    for key in kind.model_fields:
        for value in numbers(at(table, key)):
            try:
                kind.model_validate({key: value})
            except ValidationError:
                taken = False
            else:
                taken = True
            assert (problems({table: {key: value}}) == []) is taken, (key, value)
            tried += 1
    assert tried or table in {"device", "library", "homeassistant"}


@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        (PromptRequest, {"prompt": "?"}),
        (
            DecisionRequest,
            {"state": "s", "questions": {"q": {"type": "yes_no", "instructions": "Is it?"}}},
        ),
    ],
)
def test_bounds_of_requests_are_those_of_the_code(
    kind: type[PromptRequest | DecisionRequest], rest: dict[str, Any]
) -> None:
    at_ = "#/$defs/"
    parts = schemas_of([kind], mode="validation", at=at_)
    validator = Draft202012Validator({"$ref": f"{at_}{kind.__name__}", "$defs": parts})
    tried = 0
    for name, schema in parts[kind.__name__]["properties"].items():
        for value in numbers(schema):
            request = {**rest, name: value}
            try:
                kind.model_validate_json(json.dumps(request))
            except ValidationError:
                taken = False
            else:
                taken = True
            assert validator.is_valid(request) is taken, (name, value)
            tried += 1
    assert tried >= 6


def test_the_example_file_names_it_for_editors_by_a_path_that_holds_beside_it() -> None:
    first, *_ = EXAMPLE.read_text().splitlines()
    named = EXAMPLE.parent / first.removeprefix("#:schema ")
    assert first.startswith("#:schema ")
    assert json.loads(named.read_text()) == SCHEMA


def test_one_table_of_it_can_be_had() -> None:
    part = schema_of("mqtt")
    assert part["properties"] == {"mqtt": SCHEMA["properties"]["mqtt"]}
    assert "$defs" not in part
    assert len(json.dumps(part)) < len(json.dumps(SCHEMA)) / 3
    Draft202012Validator(schema_of("watch")).validate({"watch": []})
    with pytest.raises(InvalidRequestError, match=r"no table 'mqqt': there is device, mqtt"):
        schema_of("mqqt")


def test_a_part_of_it_is_small_enough_for_most_brokers_and_clients() -> None:
    """All of it is less than a request may have; Mosquitto's limit, where one is set, is rarely less."""
    assert len(json.dumps(SCHEMA, separators=(",", ":"), ensure_ascii=False)) < 65_536


def test_it_is_where_the_installer_takes_it_from() -> None:
    script = (Path(__file__).parents[2] / "scripts/lib/settings.sh").read_text()
    assert "config/edgeassist.schema.json" in script
