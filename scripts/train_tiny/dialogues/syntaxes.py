"""Sensor lists as programs write them: JSON, YAML, tables and others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Fields = Mapping[str, str]
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Names to values, or names of groups to those.
Named = Mapping[str, Any]


def write_mapping(syntax: str, named: Named) -> str:
    """Return a mapping of values by name, or by group and name."""
    return _MAPPINGS[syntax](_typed(named))


def write_table(syntax: str, rows: Sequence[Fields]) -> str:
    """Return rows of fields."""
    return _TABLES[syntax]([dict(row) for row in rows])


def _json(value: Any, indent: int | str | None = None, separators: tuple[str, str] | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)


def _yaml(named: Named, indent: str = "") -> str:
    lines = []
    for name, value in named.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}:", _yaml(value, f"{indent}  ")]
        else:
            lines.append(f"{indent}{name}: {value}")
    return "\n".join(lines)


def _ini(named: Named) -> str:
    return "\n".join(
        f"[{name}]\n{_ini(value)}" if isinstance(value, Mapping) else f"{name} = {value}"
        for name, value in named.items()
    )


def _toml(named: Named) -> str:
    return "\n".join(
        f"[{name}]\n{_toml(value)}" if isinstance(value, Mapping) else f'{name} = "{value}"'
        for name, value in named.items()
    )


def _dotted(named: Named) -> str:
    lines = []
    for name, value in named.items():
        if isinstance(value, Mapping):
            lines += [f"{name}.{inner}: {each}" for inner, each in value.items()]
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _script(named: Named) -> str:
    written = {
        name: _script(value) if isinstance(value, Mapping) else repr(value) for name, value in named.items()
    }
    return "{" + ", ".join(f"{name}: {value}" for name, value in written.items()) + "}"


def _typed(value: Any) -> Any:
    """Return a value with plain numbers as such, and without empty fields, as a program would write it."""
    if isinstance(value, Mapping):
        return {key: _typed(each) for key, each in value.items() if each}
    return json.loads(value) if _NUMBER.fullmatch(value) else value


Rows = Sequence[dict[str, str]]


def _records(rows: Rows) -> list[dict[str, Any]]:
    return [_typed(row) for row in rows]


def _yaml_records(rows: Rows) -> str:
    return "\n".join(
        "- " + "\n  ".join(f"{key}: {value}" for key, value in row.items() if value) for row in rows
    )


def _separated(mark: str, *, header: bool = True) -> Callable[[Rows], str]:
    def write(rows: Rows) -> str:
        lines = [mark.join(row.values()) for row in rows]
        return "\n".join(([mark.join(rows[0])] if header and rows else []) + lines)

    return write


def _markdown(rows: Rows) -> str:
    header = [key.capitalize() for key in rows[0]] if rows else []
    lines = [header, ["---"] * len(header), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _aligned(rows: Rows) -> str:
    lines = [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []
    widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
    return "\n".join("".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _attributes(rows: Rows) -> str:
    written = (" ".join(f'{key}="{value}"' for key, value in row.items() if value) for row in rows)
    return "\n".join(f"<sensor {each}/>" for each in written)


def _elements(rows: Rows) -> str:
    return "\n".join(
        "<sensor>" + "".join(f"<{key}>{value}</{key}>" for key, value in row.items() if value) + "</sensor>"
        for row in rows
    )


def _assigned(mark: str, between: str) -> Callable[[Rows], str]:
    def write(rows: Rows) -> str:
        return "\n".join(
            between.join(f"{key}{mark}{value}" for key, value in row.items() if value) for row in rows
        )

    return write


def _html(rows: Rows) -> str:
    return "\n".join(
        "<tr>" + "".join(f"<td>{value}</td>" for value in row.values()) + "</tr>" for row in rows
    )


_MAPPINGS: dict[str, Callable[[Named], str]] = {
    "json": _json,
    "json compact": lambda named: _json(named, separators=(",", ":")),
    "json indented": lambda named: _json(named, indent=2),
    "json in sensors": lambda named: _json({"sensors": named}),
    "json wide": lambda named: _json(named, indent=4),
    "yaml": _yaml,
    "ini": _ini,
    "python": lambda named: str(dict(named)),
    "toml": _toml,
    "dotted": _dotted,
    "script": _script,
    "json tabs": lambda named: _json(named, indent="\t"),
    "json in state": lambda named: _json({"state": {"home": named}}, separators=(", ", ":")),
}
_TABLES: dict[str, Callable[[Rows], str]] = {
    "json": lambda rows: _json(_records(rows)),
    "markdown": _markdown,
    "csv": _separated(","),
    "json compact": lambda rows: _json(_records(rows), separators=(",", ":")),
    "json indented": lambda rows: _json(_records(rows), indent=2),
    "json in sensors": lambda rows: _json({"sensors": _records(rows)}),
    "json lines": lambda rows: "\n".join(map(_json, _records(rows))),
    "yaml": _yaml_records,
    "csv ;": _separated(";"),
    "tabs": _separated("\t"),
    "pipes": _separated(" | "),
    "csv without header": _separated(",", header=False),
    "pipes without header": _separated(" | ", header=False),
    "aligned": _aligned,
    "attributes": _attributes,
    "logfmt": _assigned("=", " "),
    "labelled": _assigned(": ", ", "),
    "python": lambda rows: str(_records(rows)),
    "html": _html,
    "elements": _elements,
    "json tabs": lambda rows: _json(_records(rows), indent="\t"),
    "labelled ;": _assigned(" = ", "; "),
    "csv ,": _separated(", "),
}
_NEW_MAPPINGS = ("toml", "dotted", "script", "json tabs", "json in state")
_NEW_TABLES = ("html", "elements", "json tabs", "labelled ;", "csv ,")
# The syntaxes: (those that train, those that don't).
MAPPINGS = tuple(each for each in _MAPPINGS if each not in _NEW_MAPPINGS), _NEW_MAPPINGS
TABLES = tuple(each for each in _TABLES if each not in _NEW_TABLES), _NEW_TABLES
