"""All that is on the screen, in lines of a given width. Sans-I/O."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from edgeassist import harmless
from edgeassist.sight import words
from edgeassist.sight.box import Box
from edgeassist.top.overview import overview, state_of
from edgeassist.top.rows import Part, Row, rows_of

_LABEL = 13
# Fewer bars say nothing, and more would be a wall.
_LEAST_BARS, _MOST_BARS = 8, 40
# From this height on there is a line for the keys.
_WITH_KEYS = 6
# A third of the height may tell of the connection, and another list the boxes.
_THIRD = 3
_HELP = (
    ("q", "quit; Ctrl-C does, too"),
    ("p", "pause: the picture stands still, until p again"),
    ("→ ↓ Tab", "the next box; ← ↑ Shift-Tab: the one before"),
    ("Ctrl-L", "draw anew"),
    ("?", "this help; any key ends it"),
    ("", ""),
    ("requests", "what runs and waits now; bars: of the last minute or so, 2 s each"),
    (
        "tokens/s",
        "of all that runs now, of the last answer, the median of the last 256; bars: 2 s each, or answers",
    ),
    ("first token", "from a request's arrival to its first text; bars: answers"),
    ("threads", "how many compute, and why not more (heat, a quota, other work)"),
    ("CPU, memory", "bars: 10 s each"),
    ("errors", "since its start, by code (docs/operations.md)"),
)


@dataclass
class View:
    """What the person chose, and what is the matter.

    Attributes:
        selected: The root of the box that is shown in full; None: the first.
        paused: Whether the picture stands still.
        help: Whether the help is shown.
        problem: Why there is no connection; None while there is one.
        left_out: How many boxes more there are, beyond what is kept.
    """

    selected: str | None = None
    paused: bool = False
    help: bool = False
    problem: str | None = None
    left_out: int = 0

    def chosen(self, boxes: Sequence[Box]) -> int:
        """Return the number of the box that is shown in full."""
        return next((number for number, box in enumerate(boxes) if box.root == self.selected), 0)

    def move(self, boxes: Sequence[Box], by: int) -> None:
        """Choose another box, around both ends."""
        if boxes:
            self.selected = boxes[(self.chosen(boxes) + by) % len(boxes)].root


def page(view: View, boxes: Sequence[Box], *, width: int, height: int, now: float) -> list[Text]:
    """Return the lines of the screen, at most `height`, each at most `width` cells wide.

    Args:
        view: What the person chose.
        boxes: What is known of each, in the order of the list.
        width: Of the screen, in cells.
        height: Of the screen, in lines.
        now: The time, by the clock that `Box` hears.
    """
    keys = [_keys(view, len(boxes))] if height >= _WITH_KEYS else []
    room = height - len(keys)
    lines: list[Text] = []
    if view.help:
        lines += _help(room)
    else:
        chosen = view.chosen(boxes)
        if view.problem is not None:
            told = harmless.line(f"no connection to the broker: {view.problem}")
            lines += [
                Text(each, style="red") for each in textwrap.wrap(told, width)[: max(1, room // _THIRD)]
            ]
        if len(boxes) > 1 and room > _THIRD:
            most = max(1, height // _THIRD)
            lines += overview(boxes, chosen, width=width, most=most, now=now, left_out=view.left_out)
        lines.append(_title(boxes[chosen], now))
        rows = [part for row in rows_of(boxes[chosen], now) for part in row.wrapped(width - _LABEL)]
        kept = fit(rows, room - len(lines))
        lines += [_line(row, width) for row in kept]
        if keys and len(kept) < len(rows):
            keys[0].append(f" {len(rows) - len(kept)} rows more", style="dim")
    lines = lines[:room]
    lines += [Text()] * (room - len(lines)) + keys
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def snapshot(boxes: Sequence[Box], *, width: int, now: float, left_out: int = 0) -> list[Text]:
    """Return all that there is to say of all boxes, in lines that may be longer than `width`."""
    lines: list[Text] = []
    if len(boxes) > 1:
        lines += overview(boxes, None, width=width, most=len(boxes), now=now, left_out=left_out)
    for box in boxes:
        lines += [Text()] * bool(lines) + [_title(box, now)]
        # One moment has no history.
        lines += [_line(replace(row, history=None), width) for row in rows_of(box, now)]
    return lines


def fit(rows: Sequence[Row], room: int) -> list[Row]:
    """Return as many rows as there is room for, by rank, in their order."""
    ranked = sorted(range(len(rows)), key=lambda number: (rows[number].rank, number))
    return [rows[number] for number in sorted(ranked[: max(0, room)])]


def _title(box: Box, now: float) -> Text:
    state, style = state_of(box)
    title = Text(harmless.line(box.root), style="bold")
    title.append(f"  ● {harmless.line(state)}", style=style)
    if (health := box.health) is not None:
        if (uptime_s := box.uptime_s(now)) is not None:
            title.append(f"  up {words.period(uptime_s)}", style="dim")
        if health.version:
            title.append(f"  {harmless.line(health.version)}", style="dim")
    return title


def _line(row: Row, width: int) -> Text:
    """Return a row: its label, its text, and its history at the right edge, if there is room for one."""
    parts = list(row.parts)
    room = width - _LABEL
    bars = ""
    if row.history is not None:
        while _length(parts) + _LEAST_BARS >= room and len(parts) > 1 and parts[-1].style == "dim":
            parts.pop()
        cells = min(_MOST_BARS, room - _length(parts) - 2)
        bars = row.history.cells(cells) if cells >= _LEAST_BARS else ""
    line = Text(f"{row.label:{_LABEL}}", style="")
    line.stylize("cyan")
    for part in parts:
        line.append(part.shown, style=part.style)
    if bars.strip():
        line.pad_right(max(0, width - line.cell_len - len(bars)))
        line.append(bars, style="green")
    return line


def _length(parts: Sequence[Part]) -> int:
    return sum(Text(part.shown).cell_len for part in parts)


def _keys(view: View, boxes: int) -> Text:
    keys = Text()
    told = [("q", "quit"), ("p", "go on" if view.paused else "pause"), ("?", "help")]
    if boxes > 1:
        told.insert(2, ("←→", "box"))
    for key, what in told:
        keys.append(f" {key} ", style="reverse")
        keys.append(f" {what}  ")
    if view.paused:
        keys.append(" paused ", style="reverse yellow")
    return keys


def _help(room: int) -> list[Text]:
    lines = []
    for key, what in _HELP[:room]:
        line = Text(f"{key:{_LABEL}}", style="")
        line.stylize("cyan")
        line.append(what)
        lines.append(line)
    return lines
