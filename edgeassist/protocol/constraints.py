"""The fields of a request that say what its answer may be: their types and limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

# An answer is bound by one of them.
CONSTRAINTS = ("json_schema", "regex", "choice", "grammar")

# Of each, in UTF-8: of a schema and a choice as compact JSON.
MAX_CONSTRAINT_BYTES = 65_536
MAX_SCHEMA_DEPTH = 64
MAX_CHOICES = 1000
MAX_CHOICE_CHARACTERS = 1000

# What OpenAI puts around a schema.
_ENVELOPE = {"name", "description", "schema", "strict"}


def compact_json(value: Any) -> str:
    """Return the value as JSON without white space, keys in their order: a schema's order is the answer's.

    Raises:
        ValueError: It holds a number that JSON has not.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _check_bytes(text: str) -> None:
    if (size := len(text.encode())) > MAX_CONSTRAINT_BYTES:
        raise ValueError(f"has {size} bytes, and is limited to {MAX_CONSTRAINT_BYTES}")


def _bounded_text(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    _check_bytes(text)
    return text


def _bounded_schema(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if isinstance(schema.get("schema"), dict) and _ENVELOPE.issuperset(schema):
        raise ValueError("must be the schema itself: send what stands in its 'schema'")
    if depth(schema, MAX_SCHEMA_DEPTH) > MAX_SCHEMA_DEPTH:
        raise ValueError(f"is nested more than {MAX_SCHEMA_DEPTH} deep")
    try:
        text = compact_json(schema)
    except ValueError:
        raise ValueError("holds a number that JSON has not, such as NaN or 1e999") from None
    _check_bytes(text)
    return schema


def depth(value: JsonValue, most: int) -> int:
    """Return how deep objects and lists are nested; what is beyond `most` is not counted."""
    depth, level = 0, [value]
    while depth <= most and (level := [each for each in level if isinstance(each, dict | list)]):
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, Mapping) else each)]
    return depth


def _bounded_choice(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(texts) <= MAX_CHOICES:
        raise ValueError(f"takes 1 to {MAX_CHOICES} texts, not {len(texts)}")
    if "" in texts:
        raise ValueError("takes no empty text")
    if any(len(text) > MAX_CHOICE_CHARACTERS for text in texts):
        raise ValueError(f"a text is limited to {MAX_CHOICE_CHARACTERS} characters")
    if len(set(texts)) < len(texts):
        raise ValueError("has a text twice")
    _check_bytes(compact_json(texts))
    return texts


BoundedText = Annotated[str, AfterValidator(_bounded_text), Field(json_schema_extra={"minLength": 1})]
JsonSchema = Annotated[dict[str, JsonValue], AfterValidator(_bounded_schema)]
Choice = Annotated[
    tuple[Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_CHOICE_CHARACTERS})], ...],
    Field(strict=False, json_schema_extra={"minItems": 1, "maxItems": MAX_CHOICES, "uniqueItems": True}),
    AfterValidator(_bounded_choice),
]
