"""The JSON Schema of the settings: types and bounds of the code, descriptions of config/edgeassist.toml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edgeassist.settings import Settings, live_keys
from scripts.contract.schemas import Schema, schemas_of
from scripts.contract.words import about

EXAMPLE = Path(__file__).parents[2] / "config" / "edgeassist.toml"
AT = "#/$defs/"
_TABLE = re.compile(r"#?\[\[?(\w+)\]\]?")
_KEY = re.compile(r"#(\w+) = ")


def schema() -> Schema:
    """Return the schema."""
    found = schemas_of([Settings], mode="validation", at=AT)
    whole = found.pop("Settings")
    tables, keys = comments(EXAMPLE.read_text())
    live = set(live_keys())
    for table, properties in _tables(whole, found).items():
        for key, each in properties.items():
            each["description"] = keys[table, key]
            if {table, f"{table}.{key}"}.isdisjoint(live):
                each["requiresRestart"] = True
    # Another on each device.
    del whole["properties"]["device"]["properties"]["name"]["default"]
    for table, each in whole["properties"].items():
        each.pop("default", None)
        words = {"description": tables.get(table) or about(type(Settings.model_fields[table].default))}
        whole["properties"][table] = {**words, **each}
    used = json.dumps([whole, found])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "EdgeAssist's settings",
        "description": "What edgeassist.toml may say. Keys with requiresRestart take effect at the daemon's "
        "next start, the others with a reload.",
        **{key: each for key, each in whole.items() if key not in {"description", "required"}},
        "$defs": {name: each for name, each in found.items() if f'"{AT}{name}"' in used},
    }  # fmt: skip


def text() -> str:
    """Return the schema as its file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def comments(example: str) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Return what the example file says of tables, and of keys: the comment above each."""
    tables: dict[str, str] = {}
    keys: dict[tuple[str, str], str] = {}
    table, words = "", list[str]()
    for line in example.splitlines():
        if found := _TABLE.match(line):
            table = found[1]
            if words:
                tables[table] = " ".join(words)
            words = []
        elif found := _KEY.match(line):
            keys[table, found[1]] = " ".join(words)
            words = []
        elif line.startswith("# "):
            words.append(line.removeprefix("# ").strip())
        else:
            words = []
    return tables, keys


def _tables(whole: Schema, parts: dict[str, Schema]) -> dict[str, dict[str, Any]]:
    """Put each table where it stands; return the properties of each."""
    found: dict[str, dict[str, Any]] = {}
    for table, each in whole["properties"].items():
        if each.get("type") == "array":
            name = each["items"]["$ref"].removeprefix(AT)
            each["items"] = parts.pop(name)
            found[table] = each["items"]["properties"]
            continue
        [reference] = each.get("allOf", [each])
        part = parts.pop(reference["$ref"].removeprefix(AT))
        whole["properties"][table] = part
        found[table] = part["properties"]
    return found
