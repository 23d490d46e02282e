"""The options of `edgeassist ask` that bind an answer, as fields of a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeassist.cli.checking import check_fields
from edgeassist.cli.files import read_json, read_text
from edgeassist.errors import InvalidRequestError


def constraint_fields(
    *, schema: Path | None, regex: str | None, choice: str | None, grammar: Path | None
) -> dict[str, Any]:
    """Return the field that binds the answer; empty without an option.

    Args:
        schema: A file with a JSON Schema.
        regex: A regular expression.
        choice: Texts with commas between them.
        grammar: A file with a grammar.

    Raises:
        InvalidRequestError: There are two, a file can't be used, or a device would refuse it anyway.
    """
    options = {"--schema": schema, "--regex": regex, "--choice": choice, "--grammar": grammar}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise InvalidRequestError(f"{' and '.join(given)}: one of them can bind the answer, give one only")
    fields: dict[str, Any] = {}
    if schema is not None:
        fields["json_schema"] = read_json("--schema", schema)
    if regex is not None:
        fields["regex"] = regex
    if choice is not None:
        fields["choice"] = [text.strip() for text in choice.split(",")]
    if grammar is not None:
        fields["grammar"] = read_text("--grammar", grammar)
    if given:
        check_fields(fields, given[0])
    return fields
