"""Finds out by trial which settings can change while the daemon runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from edgeassist.settings import Settings
from edgeassist.settings.keys import Key, field_of, keys
from edgeassist.settings.reload import LiveRoom, reload

WATCH = {"name": "x", "topics": ["a"], "questions": {"q": {"type": "yes_no", "instructions": "?"}}}


def changeable(rooms: Sequence[LiveRoom[Any]], settings: Settings | None = None) -> list[str]:
    """Return the keys (`table.key`) that a reload would apply, each tried alone; nothing is applied.

    To be compared with `live_keys()`.
    """
    settings = settings or Settings()
    readers = [LiveRoom(room.read, lambda _value: None) for room in rooms]
    return [
        name
        for key in keys()
        for name in reload(settings, with_another_value(settings, key), readers).applied
    ]


def with_another_value(settings: Settings, key: Key) -> Settings:
    """Return the settings with another value of one key; the value is valid by itself."""
    table, *rest = key
    values = getattr(settings, table)
    if not rest:
        return settings.model_copy(update={table: _another(field_of(key), values, table)})
    changed = _another(field_of(key), getattr(values, rest[0]), ".".join(key))
    return settings.model_copy(update={table: values.model_copy(update={rest[0]: changed})})


def _another(field: FieldInfo, value: object, name: str) -> object:
    adapter: TypeAdapter[object] = TypeAdapter(field.rebuild_annotation())
    for candidate in _candidates(field, value):
        try:
            other = adapter.validate_python(candidate)
        except ValidationError:
            continue
        if other != value:
            return other
    raise AssertionError(f"no other value of {name} was found: add a candidate for its type")


def _candidates(field: FieldInfo, value: object) -> Iterator[object]:
    yield from _members(field.annotation)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1, value / 2)
    yield from (1, 100, 4096, "other", "https://other.example", "ws://other", ["other"], [WATCH])


def _members(annotation: object) -> Iterator[object]:
    """Yield the values of the literals and enums in a type."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from annotation
    elif get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from _members(part)
