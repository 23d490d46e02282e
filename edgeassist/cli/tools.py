"""The options of `edgeassist ask` that offer tools, as fields of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeassist.cli.checking import check_fields
from edgeassist.cli.files import read_json
from edgeassist.errors import InvalidRequestError

_WORDS = ("auto", "none", "required")


def tool_fields(
    files: Sequence[Path], choice: str | None, *, bound: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Return the fields that offer tools; empty without an option.

    Args:
        files: Each holds a tool, or a list of them.
        choice: `auto`, `none`, `required`, or the name of one.
        bound: The fields that bind the answer.

    Raises:
        InvalidRequestError: A file can't be used, there is no such tool, or a device would refuse it anyway.
    """
    if not files:
        if choice is not None:
            raise InvalidRequestError("--tool-choice: there are no tools: give --tool FILE with it")
        return {}
    tools: list[Any] = []
    for path in files:
        held = read_json("--tool", path)
        own = held if isinstance(held, list) else [held]
        check_fields({"tools": own}, f"--tool: {path}")
        tools += own
    fields: dict[str, Any] = {"tools": tools}
    check_fields(fields, "--tool")
    if choice is not None:
        named = {"type": "function", "function": {"name": choice}}
        fields["tool_choice"] = choice if choice in _WORDS else named
        check_fields(fields, "--tool-choice")
    check_fields({**fields, **(bound or {})})
    return fields
