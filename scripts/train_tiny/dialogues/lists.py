"""Writes lists of sensors in a layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.train_tiny.dialogues.language import Language
from scripts.train_tiny.dialogues.layouts import Case, Form, Layout
from scripts.train_tiny.dialogues.numbers import split_reading
from scripts.train_tiny.dialogues.places import with_article
from scripts.train_tiny.dialogues.syntaxes import Fields, write_mapping, write_table


@dataclass(frozen=True, slots=True)
class Entry:
    """A sensor to list."""

    room: str
    quantity: str
    value: str


def write_list(layout: Layout, entries: Sequence[Entry], language: Language) -> str:
    """Return the list of sensors, with its heading."""
    cased = [
        Entry(
            _cased(entry.room, layout.case),
            _cased(entry.quantity, Case.LOWER if layout.case is Case.FIRST else layout.case),
            split_reading(entry.value)[0] if layout.bare else entry.value,
        )
        for entry in entries
    ]
    text = layout.around.replace("{list}", _WRITE[layout.form](layout.parts, cased, language))
    if not layout.heading:
        return text
    in_line = layout.in_line and "\n" not in text and layout.heading[-1] in ":："
    return layout.heading + (" " if in_line else "\n") + text


def _write_entries(parts: Mapping[str, str], entries: Sequence[Entry], language: Language) -> str:
    lines = []
    for number, entry in enumerate(entries, 1):
        name = _named(parts["names"], entry, language)
        bullet = parts.get("bullet", "").replace("1", str(number))
        lines.append(bullet + parts["entries"].format(name=name, value=entry.value))
    return parts["separator"].join(lines) + ("." if parts["separator"] == ". " else "")


def _write_groups(parts: Mapping[str, str], entries: Sequence[Entry], language: Language) -> str:
    del language
    block = parts["block"] == "block"
    written = []
    for group, inside in _grouped(parts["by"], entries).items():
        lines = [parts["inner"].format(name=name, value=value) for name, value in inside.items()]
        text = "\n".join(lines) if block else parts["inside"].join(lines)
        written.append(parts["head"].format(group=group) + ("\n" if block else " ") + text)
    return parts["between"].join(written)


def _write_mapping(parts: Mapping[str, str], entries: Sequence[Entry], language: Language) -> str:
    if parts["by"] == "sensor":
        return write_mapping(
            parts["syntax"], {_named(parts["names"], each, language): each.value for each in entries}
        )
    return write_mapping(parts["syntax"], _grouped(parts["by"], entries))


def _write_table(parts: Mapping[str, str], entries: Sequence[Entry], language: Language) -> str:
    keys = dict(pair.split("=") for pair in parts["keys"].split(" "))
    rows: list[Fields] = []
    for each in entries:
        number, unit = split_reading(each.value)
        fields = {
            "name": _named(parts["names"], each, language) if "name" in keys else "",
            "room": each.room,
            "quantity": each.quantity,
            "value": number if "unit" in keys else each.value,
            "unit": unit,
        }
        rows.append({key: fields[field] for field, key in keys.items()})
    return write_table(parts["syntax"], rows)


_WRITE = {
    Form.ENTRIES: _write_entries,
    Form.GROUPS: _write_groups,
    Form.MAPPING: _write_mapping,
    Form.TABLE: _write_table,
}


def _grouped(by: str, entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    for each in entries:
        group, name = (each.room, each.quantity) if by == "room" else (each.quantity, each.room)
        groups.setdefault(group, {})[name] = each.value
    return groups


def _named(form: str, entry: Entry, language: Language) -> str:
    return form.format(
        room=entry.room,
        quantity=entry.quantity,
        the_room=with_article(entry.room) if language is Language.ENGLISH else entry.room,
        room_=_slug(entry.room),
        quantity_=_slug(entry.quantity),
    )


def _slug(name: str) -> str:
    return name.replace("'", "").replace(" ", "_")


def _cased(name: str, case: Case) -> str:
    if case is Case.FIRST:
        return name[:1].upper() + name[1:]
    if case is Case.TITLE:
        return " ".join(word[:1].upper() + word[1:] for word in name.split(" "))
    return name.upper() if case is Case.UPPER else name
