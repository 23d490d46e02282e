"""JSON as Python has it."""

from __future__ import annotations

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
