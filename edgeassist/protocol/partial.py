"""What of a document is as documented, field by field: of a newer device, or of anybody's hand.

A reader so has each value of its type or not at all, and need not fear what else somebody published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError


class _UnfitError(Exception):
    """The value is none of that type."""


def known_of(kind: type[BaseModel], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value of their type.

    Args:
        kind: Names the fields. Of a model within it, and of a table, what fits is returned likewise. A name
            from a list of names may be any text: a newer device knows more of them.
        document: As JSON has it.
    """
    found: dict[str, Any] = {}
    for name, wanted in _fields(kind).items():
        if name in document:
            try:
                found[name] = _fitting(wanted, document[name])
            except _UnfitError:
                continue
    return found


def _fitting(wanted: Any, value: Any) -> Any:
    """Return what of a value is of the type; raise an _UnfitError where nothing is."""
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _fitting(parts[0], value)
    if origin in {Union, UnionType}:
        for part in parts:
            try:
                return _fitting(part, value)
            except _UnfitError:
                continue
        raise _UnfitError
    if origin is dict and isinstance(value, dict):
        return _entries(parts[1], value)
    if isinstance(wanted, type) and issubclass(wanted, BaseModel) and isinstance(value, dict):
        return known_of(wanted, value)
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        wanted = str
    try:
        _adapter(wanted).validate_json(json.dumps(value), strict=True)
    except (ValidationError, ValueError, RecursionError):
        raise _UnfitError from None
    return value


def _entries(wanted: Any, table: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in table.items():
        try:
            found[name] = _fitting(wanted, value)
        except _UnfitError:
            continue
    return found


@cache
def _fields(kind: type[BaseModel]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {name: hints[name] for name in kind.model_fields}


@cache
def _adapter(wanted: Any) -> TypeAdapter[Any]:
    return TypeAdapter(wanted)
