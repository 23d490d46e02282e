"""The options of `edgeassist ask` that offer tools, as fields of a request; and how a call is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgeassist.cli.files import read_json
from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.requests import PromptRequest, explain

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
        _check({"tools": own}, f"--tool: {path}: ")
        tools += own
    fields: dict[str, Any] = {"tools": tools}
    _check(fields, "--tool: ")
    if choice is not None:
        named = {"type": "function", "function": {"name": choice}}
        fields["tool_choice"] = choice if choice in _WORDS else named
        _check(fields, "--tool-choice: ")
    _check({**fields, **(bound or {})}, "")
    return fields


def _check(fields: dict[str, Any], place: str) -> None:
    try:
        PromptRequest.model_validate({"prompt": "?", **fields})
    except ValidationError as error:
        reason = explain(error)
        for name in fields if place else ():
            reason = reason.removeprefix(f"{name}: ")
        raise InvalidRequestError(f"{place}{reason}") from None
