"""What of a message counts: a JSONPath finds it. The only importer of its library."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgeassist.protocol.constraints import compact_json, depth
from edgeassist.protocol.decisions import MAX_STATE_DEPTH

if TYPE_CHECKING:
    from jsonpath import JSONPath

MAX_PATH_CHARACTERS = 256
# A path may find the same many times over, and so be much more than the message.
MAX_FOUND = 1024
MAX_FOUND_BYTES = 8192
# Beyond it, neighbouring numbers are more than 1 apart.
_COUNTABLE = 1 << 53
# Below what a state may be nested, with room for what it is put into.
_MAX_DEPTH = MAX_STATE_DEPTH - 3


class Pick:
    """A part of a message: by a path to one place its value, by one to several the list of what is there.

    Args:
        expression: A JSONPath of RFC 9535.

    Raises:
        ValueError: It is none; the message says where it breaks.
    """

    def __init__(self, expression: str) -> None:
        self._path, self._problem = _compile(expression)
        self._one = self._path.singular_query()

    def find(self, document: Any) -> list[Any]:
        """Return what is there: nothing, or one value."""
        try:
            found = [match.obj for match in islice(self._path.finditer(document), MAX_FOUND + 1)]
        except (self._problem, RecursionError):  # it does not suit what came
            return []
        if len(found) > MAX_FOUND:
            return []
        return found if self._one or not found else [found]


def _compile(expression: str) -> tuple[JSONPath, type[Exception]]:
    """Return the path, and what it raises where it can't be followed."""
    # It takes a twentieth of a second to load, which only those pay who use it.
    from jsonpath import JSONPathEnvironment, JSONPathError  # noqa: PLC0415
    from jsonpath.path import JSONPath  # noqa: PLC0415

    if len(expression) > MAX_PATH_CHARACTERS:
        raise ValueError(f"a JSONPath is limited to {MAX_PATH_CHARACTERS} characters")
    if not expression.startswith("$"):
        raise ValueError("a JSONPath begins with $, such as $.power")
    try:
        path = JSONPathEnvironment(strict=True).compile(expression)
    except JSONPathError as error:
        token = error.token
        place = "" if token is None or token.index < 0 else f" at character {token.index + 1}"
        raise ValueError(f"is no JSONPath: {error.args[0]}{place}") from None
    if not isinstance(path, JSONPath):
        raise ValueError("is no JSONPath: several in one are not taken")  # noqa: TRY004 - a value, not a type
    return path, JSONPathError


def value_of(payload: bytes, pick: Pick | None, step: float | None = None) -> bytes | None:
    """Return what of a message counts, as compact JSON; None: nothing.

    What is no JSON counts as text, and blank text in JSON as null.

    Args:
        payload: The message.
        pick: Which part of it; None: all.
        step: To a multiple of which numbers are rounded; None: they stay as they are.
    """
    text = payload.decode("utf-8-sig", errors="replace").strip("\0 \t\r\n")
    try:
        found = [json.loads(text)]
        if pick is not None:
            found = pick.find(found[0])
        if found and isinstance(found[0], str) and not found[0].strip():
            return b"null"
        if found and depth(found[0], _MAX_DEPTH) <= _MAX_DEPTH:
            picked = found[0] if step is None else rounded(found[0], step)
            value = compact_json(picked).encode()
            return value if pick is None or len(value) <= MAX_FOUND_BYTES else None
    except (
        ArithmeticError,
        ValueError,
        RecursionError,
    ):  # no JSON, or some that is not passed on, such as NaN
        pass
    return None if pick is not None or not text.strip() else compact_json(text).encode()


def rounded(value: Any, step: float) -> Any:
    """Return a JSON value with every number in it rounded to a multiple of `step`."""
    match value:
        case dict():
            return {key: rounded(each, step) for key, each in value.items()}
        case list():
            return [rounded(each, step) for each in value]
        case bool():
            return value
        case int() | float():
            exact = Decimal(str(step))
            near = (Decimal(str(value)) / exact).to_integral_value() * exact
            if abs(near) >= _COUNTABLE:
                return value
            # 20 and 20.0 would be two states; so would 0 and -0.
            return int(near) if near == near.to_integral_value() else float(near)
    return value
