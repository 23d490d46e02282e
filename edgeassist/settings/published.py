"""The JSON Schema of the settings, as it is published: for editors, and for who asks over MQTT."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from pydantic import JsonValue

from edgeassist.errors import InvalidRequestError

# `python -m scripts.contract` makes it of `settings/schema` and config/edgeassist.toml.
_FILE = files("edgeassist") / "assets/settings.schema.json"


def schema_text() -> str:
    """Return the file's text."""
    return _FILE.read_text(encoding="utf-8")


def schema_of(table: str | None = None) -> dict[str, JsonValue]:
    """Return the schema of all settings, or of one table only.

    Raises:
        InvalidRequestError: There is no such table.
    """
    whole: dict[str, JsonValue] = json.loads(schema_text())
    if table is None:
        return whole
    tables: Any = whole["properties"]
    if table not in tables:
        raise InvalidRequestError(f"schema: there is no table {table!r}: there is {', '.join(tables)}")
    shown: dict[str, JsonValue] = {**whole, "properties": {table: tables[table]}}
    if '"#/$defs/' not in json.dumps(tables[table]):
        del shown["$defs"]
    return shown
