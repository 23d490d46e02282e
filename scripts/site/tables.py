"""JSON Schemas as tables of Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]
# Returns the name of a type, as Markdown, where there is more of it.
Name = Callable[[str], str]

_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false",
          "array": "list", "object": "object", "null": "null"}  # fmt: skip


def row(*cells: str) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table."""
    names = [*head]
    return "\n".join([row(*names), row(*["---"] * len(names)), *(row(*each) for each in rows)]) + "\n"


def plain(text: str) -> str:
    """Return a text as Markdown in which `<device>` is no tag, outside of code."""
    parts = text.split("`")
    parts[::2] = [each.replace("<", "&lt;") for each in parts[::2]]
    return "`".join(parts)


def described(text: str, *facts: str) -> str:
    """Return a cell with a text, and below it what else there is to know."""
    return f"{plain(text)}<br><small>{'; '.join(filter(None, facts))}</small>"


def kind(schema: Schema, name: Name) -> str:
    """Return what values a schema takes, in words."""
    if "$ref" in schema:
        return name(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return f"`{_json(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{_json(each)}`" for each in schema["enum"])
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema and "type" not in schema:
            parts = [kind(each, name) for each in schema[keyword]]
            return " or ".join(dict.fromkeys(parts))
    types = schema.get("type", "any JSON")
    words = [_word(each, schema, name) for each in ([types] if isinstance(types, str) else types)]
    return " or ".join(words)


def code(value: object) -> str:
    """Return a value as code."""
    return f"`{_json(value)}`"


def _word(of: str, schema: Schema, name: Name) -> str:
    word = _WORDS.get(of, of)
    if of in {"integer", "number"}:
        return f"{word} {_range(schema)}".strip()
    if of == "array" and schema.get("items"):
        return f"list of {kind(schema['items'], name)}"
    inner = schema.get("additionalProperties")
    if of == "object" and isinstance(inner, Mapping):
        return f"object of {kind(inner, name)}"
    return word


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f"{least:,} to {most:,}"
    low = f"from {least:,}" if least is not None else f"above {above:,}" if above is not None else ""
    high = f"to {most:,}" if most is not None else f"below {below:,}" if below is not None else ""
    return f"{low} {high}".strip()


def _json(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
