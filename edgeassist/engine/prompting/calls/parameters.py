"""What the forms ask of a tool's parameters that write them one by one. Sans-I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from edgeassist.engine.messages import Tool
from edgeassist.engine.prompting.calls.form import Schema, Unwritable

NOTHING = "no value fulfils it"
NOT_HERE = "is not enforced in the form in which this model calls tools"

_OF_OBJECTS = frozenset({"type", "properties", "required", "additionalProperties", "$defs", "x-guidance"})
_MERGED = {"$ref", "allOf", "oneOf"}
_KINDS = {"type", "enum", "const", *_MERGED}
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
_NULLABLE = {"string", "null"}
_NULL = {"type": "null"}


class Spelling(Enum):
    """How a form that has no quotes writes a parameter."""

    TEXT = auto()
    """As the text that it is."""
    NULLABLE = auto()
    """Likewise, and `null` is no text."""
    JSON = auto()


def spelling_of(schema: object) -> Spelling:
    """Return how a parameter is written, by its schema as the client gave it: texts, if they surely are."""
    if not isinstance(schema, dict):
        return Spelling.JSON
    several = schema.get("anyOf")
    if isinstance(several, list):
        # As pydantic writes what may be null.
        others = [each for each in several if each != _NULL]
        plain = len(several) - len(others) == len(others) == 1 and not schema.keys() & _KINDS
        return Spelling.NULLABLE if plain and spelling_of(others[0]) is Spelling.TEXT else Spelling.JSON
    if schema.keys() & _MERGED:
        return Spelling.JSON
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        texts = isinstance(values, list) and values and all(isinstance(value, str) for value in values)
        known = kind is None or "string" in (kind if isinstance(kind, list) else [kind])
        return Spelling.TEXT if texts and known else Spelling.JSON
    if isinstance(kind, list) and len(kind) == len(_NULLABLE) and set(map(str, kind)) == _NULLABLE:
        return Spelling.NULLABLE
    return Spelling.TEXT if kind == "string" else Spelling.JSON


def spellings(tool: Tool) -> dict[str, Spelling]:
    """Return how each parameter of a tool is written."""
    try:
        document = json.loads(tool.parameters)
    except (ValueError, RecursionError):
        return {}
    properties = document.get("properties") if isinstance(document, dict) else None
    if not isinstance(properties, dict):
        return {}
    return {name: spelling_of(schema) for name, schema in properties.items()}


def literals(schema: Schema) -> list[Any]:
    """Return the values that a schema with `enum` or `const` names: all that both and `type` allow."""
    values: list[Any] = schema["enum"] if "enum" in schema else [schema["const"]]
    if "const" in schema:
        values = [value for value in values if json.dumps(value) == json.dumps(schema["const"])]
    kinds = schema.get("type", list(_TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return [value for value in values if any(_is(value, kind) for kind in kinds)]


def _is(value: Any, kind: str) -> bool:
    # True is an int in Python, and 1.0 an integer in JSON Schema.
    whole = kind == "integer" and isinstance(value, float) and value.is_integer()
    return whole or type(value) in _TYPES[kind]


def text_part(schema: Schema) -> Schema:
    """Return the schema of the texts, of a parameter that is `NULLABLE` or `TEXT`."""
    several = schema.get("anyOf")
    if isinstance(several, list):
        return next(each for each in several if each != _NULL)
    return {**schema, "type": "string"}


def parameters(schema: Schema, names: re.Pattern[str]) -> Iterator[tuple[str, Schema, bool]]:
    """Yield the name, the schema and whether it is required, of each property of an object.

    Args:
        schema: Of the object.
        names: Matches a name that can be written.

    Raises:
        Unwritable: The schema asks for more than that.
    """
    if other := next((key for key in schema if key not in _OF_OBJECTS), None):
        raise Unwritable(f"'{other}' {NOT_HERE}")
    required = schema.get("required", [])
    properties: dict[str, Any] = dict(schema.get("properties", {}))
    for name in required:
        properties.setdefault(name, schema.get("additionalProperties", True))
    for name, each in properties.items():
        if each is False and name not in required:
            continue
        if each is False:
            raise Unwritable(NOTHING, "properties", name)
        if not names.fullmatch(name):
            raise Unwritable(f"such a name {NOT_HERE}", "properties", name)
        yield name, each if isinstance(each, dict) else {}, name in required
