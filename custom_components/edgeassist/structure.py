"""What Home Assistant wants of an answer, or of a tool's arguments, as a schema that the device enforces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeassistant.helpers import llm

from .schemas import Schema, enforceable

try:  # Home Assistant 2026.9
    from probatio import to_openapi
except ImportError:
    from voluptuous_openapi import convert as to_openapi


def json_schema(structure: Any, serializer: Callable[[Any], Any] | None = None) -> Schema:
    """Return the schema of an AI task's structure, or of a tool's parameters.

    Args:
        structure: As Home Assistant checks data: voluptuous's, or probatio's.
        serializer: What makes schemas of Home Assistant's selectors: that of the LLM API in use, if any.

    Raises:
        ValueError: It can't be put as a schema.
    """
    try:
        # 3.1 has null as a type; `nullable` is 3.0's.
        found = to_openapi(
            structure,
            custom_serializer=serializer or llm.selector_serializer,
            openapi_version="3.1.0",
        )
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ValueError(str(error)) from error
    return enforceable(found)
