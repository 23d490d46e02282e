"""JSON as Python has it, and the schemas within a schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Schema: TypeAlias = "bool | dict[str, Json]"

TYPES = ("null", "boolean", "number", "string", "array", "object")


def number_of(value: Json) -> int | float | None:
    """Return a value if it's a number, which true and false are not in JSON, and which a double may be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _OVER else None


_OVER = 2**1023


def parts_of(schema: dict[str, Json]) -> Iterator[Json]:
    """Yield the schemas that stand in a schema that `reading` wrote, but for its `$defs`."""
    for key in ("properties", "patternProperties"):
        named = schema.get(key)
        yield from named.values() if isinstance(named, dict) else ()
    for key in ("allOf", "anyOf", "oneOf", "prefixItems"):
        several = schema.get(key)
        yield from several if isinstance(several, list) else ()
    yield from (schema[key] for key in ("items", "additionalProperties") if key in schema)


def height(schema: Json) -> int:
    """Return how many schemas stand in one another."""
    return 1 + max(map(height, parts_of(schema)), default=0) if isinstance(schema, dict) else 1
