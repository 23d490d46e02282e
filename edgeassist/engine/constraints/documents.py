"""JSON as Python has it."""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
Schema: TypeAlias = "bool | dict[str, Json]"

TYPES = ("null", "boolean", "number", "string", "array", "object")


def is_number(value: Json) -> bool:
    """Return whether a value is a number, which true and false are not in JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool)
