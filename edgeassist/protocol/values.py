"""What requests and commands share: names, and numbers as clients write them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"


def _whole(value: Any) -> Any:
    """Lua, JavaScript and templates write whole numbers as 60.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text_of_number(value: Any) -> Any:
    """Counters make good ids: 1 is taken as "1"."""
    number = _whole(value)
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else value


_Named = Annotated[str, Field(pattern=NAME_PATTERN)]

Whole = Annotated[int, BeforeValidator(_whole)]
AnyName = Annotated[str, BeforeValidator(_text_of_number, json_schema_input_type=str | int)]
Name = Annotated[_Named, BeforeValidator(_text_of_number, json_schema_input_type=_Named | int)]
