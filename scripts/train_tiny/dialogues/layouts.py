"""Layouts of a sensor list: the documented one, and those that people and programs write.

A layout is put together from parts: its form, how a sensor is named, what stands between a name and its
value, what separates sensors, and so on. A share of the combinations is held out from training by their
hash, but for those that differ from the most usual in one part only. Parts that are called new occur only in
held-out layouts, one in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from random import Random

from scripts.train_tiny.dialogues.language import Language, Parts, words_of
from scripts.train_tiny.dialogues.numbers import split_reading
from scripts.train_tiny.dialogues.split import Part, is_held_out
from scripts.train_tiny.dialogues.syntaxes import MAPPINGS, TABLES


class Form(StrEnum):
    """What a list is made of."""

    ENTRIES = "entries"
    GROUPS = "groups"
    MAPPING = "mapping"
    TABLE = "table"


class Case(StrEnum):
    """How names are capitalized."""

    LOWER = "lower"
    FIRST = "first"
    TITLE = "title"
    UPPER = "upper"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a list is written.

    Attributes:
        form: What it is made of.
        parts: The parts that make it another layout, by kind.
        case: How names are capitalized.
        heading: The text above the list; may be empty.
        in_line: Whether a list of one line follows a heading with a colon on the same line.
        around: What encloses the list, with `{list}` for it.
        bare: Whether values have no units.
    """

    form: Form
    parts: Mapping[str, str]
    case: Case
    heading: str
    in_line: bool
    around: str
    bare: bool

    @property
    def identity(self) -> str:
        """What makes it another layout: form and parts."""
        return "|".join((self.form, *(f"{kind}={part}" for kind, part in self.parts.items())))

    def shown(self, value: str) -> str:
        """Return a value as an answer repeats it."""
        if self.bare:
            return split_reading(value)[0]
        has_units = "unit=" in self.parts.get("keys", "")
        return " ".join(filter(None, split_reading(value))) if has_units else value


_FORMS = {Form.ENTRIES: 50, Form.GROUPS: 16, Form.MAPPING: 12, Form.TABLE: 22}
_CASES = {Case.LOWER: 55, Case.FIRST: 17, Case.TITLE: 20, Case.UPPER: 8}
_BARE_SHARES = {Form.ENTRIES: 0.08, Form.GROUPS: 0.08, Form.MAPPING: 0.3, Form.TABLE: 0.1}
# How many held-out layouts of each language are measured.
UNSEEN = 60
_FIRST_SHARE = 0.3
_NO_HEADING_SHARE = 0.2
_AROUND = ("{list}",) * 8 + (
    "```\n{list}\n```",
    "<sensors>\n{list}\n</sensors>",
    "({list})",
    "---\n{list}\n---",
)
# How often a held-out layout has a part that never trains.
_NEW_PART_SHARE = 0.5


def draw_layout(language: Language, random: Random, *, held_out: bool) -> Layout:
    """Return a layout, either from training or held out."""
    parts = words_of(language).lists
    with_new = held_out and random.random() < _NEW_PART_SHARE
    while True:
        form = random.choices(tuple(_FORMS), tuple(_FORMS.values()))[0]
        drawn = _DRAW[form](_Draw(parts, random, with_new=with_new))
        layout = Layout(
            form=form,
            parts=drawn.chosen,
            case=_case(language, random),
            heading="" if random.random() < _NO_HEADING_SHARE else random.choice(parts.headings),
            in_line=random.random() < 1 / 2,
            around=random.choice(_AROUND) if form in {Form.ENTRIES, Form.GROUPS} else "{list}",
            bare=random.random() < _BARE_SHARES[form] and "unit=" not in drawn.chosen.get("keys", ""),
        )
        held_back = drawn.unusual > 1 and is_held_out(Part.LAYOUT, layout.identity)
        is_new = drawn.has_new or held_back
        if _is_clear(layout) and is_new == held_out and drawn.has_new == with_new:
            return layout


@cache
def unseen_layouts(language: Language) -> tuple[Layout, ...]:
    """Return the `UNSEEN` held-out layouts that are measured; no two have the same identity."""
    random = Random(f"layouts {language}")
    layouts: dict[str, Layout] = {}
    while len(layouts) < UNSEEN:
        layout = draw_layout(language, random, held_out=True)
        layouts.setdefault(layout.identity, layout)
    return tuple(layouts.values())


class _Draw:
    """Draws the parts of a layout."""

    def __init__(self, parts: Parts, random: Random, *, with_new: bool) -> None:
        self._parts, self._random, self._with_new = parts, random, with_new
        self.chosen: dict[str, str] = {}
        self.has_new = False
        # The number of parts that are not the most usual ones of their kind.
        self.unusual = 0

    def pick(self, kind: str, options: Sequence[str], new: Sequence[str] = ()) -> str:
        """Choose one of the options, the first more often."""
        if self._with_new and not self.has_new and new and self._random.random() < 1 / 2:
            self.has_new = True
            option = self._random.choice(new)
        else:
            option = options[0] if self._random.random() < _FIRST_SHARE else self._random.choice(options)
        self.chosen[kind] = option
        self.unusual += option != options[0]
        return option

    def pick_of(self, kind: str) -> str:
        """Choose one of a language's parts of a kind."""
        return self.pick(kind, self._parts.train[kind], self._parts.new[kind])


_SEPARATORS = ("\n", "; ", ", ", "\n", " | ", "\n\n", ";", ",\n", ". ", ";\n", " / ")
_NEW_SEPARATORS = (" · ", " && ", " || ", "\n--\n")
_BULLETS = ("", "- ", "* ", "• ", "1. ", "1) ", "– ", "  ")
_NEW_BULLETS = ("+ ", "> ", "(1) ", "[x] ", "→ ")
_HEADS = (
    "{group}:",
    "{group}",
    "## {group}",
    "[{group}]",
    "**{group}**",
    "# {group}",
    "=== {group} ===",
    "- {group}",
)
_NEW_HEADS = ("<{group}>", "-- {group} --", "@{group}", "### {group} ###", "{group} >")
_INNER = (
    *("{name}: {value}", "{name} {value}", "- {name}: {value}", "  {name}: {value}", "{name} = {value}"),
    *("{name}={value}", "  - {name}: {value}", "* {name} {value}", "{name} ({value})", "- {name} {value}"),
    *("\t{name}: {value}", "{name} - {value}", "• {name}: {value}", "{name}\t{value}"),
)
_NEW_INNER = ("{name} ~ {value}", "+ {name}: {value}", "{name} -> {value}", "> {name} {value}")
_INSIDE = (", ", "; ", " | ", " / ", ",", " ")
_BETWEEN = ("\n", "\n\n", "; ", ". ", " | ")
_BY = ("room", "room", "quantity")


def _draw_entries(draw: _Draw) -> _Draw:
    separator = draw.pick("separator", _SEPARATORS, _NEW_SEPARATORS)
    draw.pick_of("names")
    entry = draw.pick_of("entries")
    if separator.startswith("\n") and entry[0] != "|":
        draw.pick("bullet", _BULLETS, _NEW_BULLETS)
    return draw


def _draw_groups(draw: _Draw) -> _Draw:
    draw.pick("by", _BY)
    draw.pick("head", _HEADS, _NEW_HEADS)
    draw.pick("inner", _INNER, _NEW_INNER)
    # A block has a line for each sensor; otherwise they follow the head.
    if draw.pick("block", ("block", "in line")) == "block":
        draw.pick("between", ("\n", "\n\n"))
    else:
        draw.pick("inside", _INSIDE)
        draw.pick("between", _BETWEEN)
    return draw


def _draw_mapping(draw: _Draw) -> _Draw:
    draw.pick("syntax", *MAPPINGS)
    if draw.pick("by", ("sensor", "room", "quantity", "room")) == "sensor":
        draw.pick_of("names")
    return draw


def _draw_table(draw: _Draw) -> _Draw:
    draw.pick("syntax", *TABLES)
    if "name=" in draw.pick_of("keys"):
        draw.pick_of("names")
    return draw


_DRAW = {
    Form.ENTRIES: _draw_entries,
    Form.GROUPS: _draw_groups,
    Form.MAPPING: _draw_mapping,
    Form.TABLE: _draw_table,
}


def _is_clear(layout: Layout) -> bool:
    """Return False if a part occurs inside another one that it should end."""
    parts = layout.parts
    between = [parts[kind].strip() for kind in ("separator", "inside", "between") if kind in parts]
    within = "".join(parts.get(kind, "") for kind in ("names", "entries", "inner", "head"))
    if parts.get("block") == "in line" and (parts["inner"][0] != "{" or parts["inside"] == parts["between"]):
        return False
    return not any(mark and mark in within for mark in between)


def _case(language: Language, random: Random) -> Case:
    if language is Language.CHINESE:
        return Case.LOWER
    return random.choices(tuple(_CASES), tuple(_CASES.values()))[0]
