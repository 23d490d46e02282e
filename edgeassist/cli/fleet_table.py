"""A fleet as a table that fits the terminal: what matters least is left out first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box as boxes
from rich.cells import cell_len
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from edgeassist import harmless
from edgeassist.fleet.survey import Remark, Survey
from edgeassist.protocol.fleet import BoxCondition, BoxState
from edgeassist.sight import words

_COLOURS = {BoxCondition.ONLINE: "green", BoxCondition.DRAINING: "yellow", BoxCondition.OFFLINE: "red"}
_GAP = 2
# Of a figure; times are in seconds since 1970.
_MOST_FIGURE = 1e11
# Names are broken over lines where they are longer, or where there is less room, down to the least.
_MOST_NAME, _MOST_MODEL, _LEAST_NAME = 24, 32, 15

# Returns a box's `health` or `telemetry`; empty where that is not known, or out of date.
Document = Callable[[BoxState, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Column:
    """One column; the one with the lowest `rank` is left out first. `most`: it may be broken over lines."""

    name: str
    rank: int
    cells: Sequence[Text]
    justify: Literal["left", "right"] = "right"
    most: int | None = None

    @property
    def least(self) -> int:
        longest = max(cell_len(text) for text in (self.name, *(cell.plain for cell in self.cells)))
        return longest if self.most is None else min(longest, _LEAST_NAME)


def fleet_table(seen: Survey, document: Document, now: float, width: int) -> Group:
    """Return a fleet with boxes as a table.

    Args:
        seen: The fleet.
        document: What else is known of its boxes.
        now: In seconds since 1970.
        width: How many characters there are in a line.
    """
    columns = _columns(seen, document, now)
    left_out: list[str] = []
    while sum(column.least + _GAP for column in columns) - _GAP > width and len(columns) > 1:
        least = min(columns, key=lambda column: column.rank)
        left_out.append(least.name)
        columns.remove(least)
    table = Table(box=boxes.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for column in columns:
        table.add_column(
            column.name,
            justify=column.justify,
            overflow="fold",
            no_wrap=column.most is None,
            min_width=column.least,
            max_width=column.most,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    parts: list[Any] = [Text(harmless.line(_title(seen)), style="bold")]
    if alike := [f"{name} {value}" for name in ("model", "version") if (value := _common(seen, name))]:
        parts.append(Text(harmless.line(", ".join(alike)), style="dim"))
    parts.append(table)
    if left_out:
        parts.append(Text(f"left out for want of room: {', '.join(left_out)}", style="dim"))
    return Group(*parts)


def remark_lines(remarks: Sequence[Remark]) -> Table:
    """Return what is not as it should be, with what to do; `!` marks what is serious."""
    lines = Table.grid(padding=(0, 1))
    for remark in remarks:
        mark, colour = ("!", "bold red") if remark.serious else ("•", "yellow")
        lines.add_row(f"[{colour}]{mark}[/]", escape(remark.text))
        lines.add_row("", f"→ {escape(remark.remedy)}")
    return lines


def _title(seen: Survey) -> str:
    busy, slots = (sum(getattr(box, name) for box in seen.online) for name in ("running", "slots"))
    waiting = sum(box.waiting for box in seen.boxes)
    take = f"{len(seen.online)} of {len(seen.boxes)} boxes take requests"
    return f"{seen.group}: {take}, {busy} of {slots} slots busy, {waiting} waiting"


def _there(seen: Survey) -> list[BoxState]:
    return [box for box in seen.boxes if box.state is not BoxCondition.OFFLINE]


def _common(seen: Survey, name: str) -> str | None:
    """Return what all boxes that are there have in common; None where they don't."""
    values = {getattr(box, name) for box in _there(seen)}
    return next(iter(values)) if len(values) == 1 else None


def _columns(seen: Survey, document: Document, now: float) -> list[_Column]:
    """Return the columns; what all boxes have in common stands in the title."""

    def of(cell: Callable[[BoxState], str | Text], *, away: bool = False) -> list[Text]:
        """Return a cell for each box; for one that is away only if `away`."""
        shown = [away or box.state is not BoxCondition.OFFLINE for box in seen.boxes]
        cells = [cell(box) if show else "" for box, show in zip(seen.boxes, shown, strict=True)]
        return [cell if isinstance(cell, Text) else Text(harmless.line(cell)) for cell in cells]

    def median(key: str, tell: Callable[[float], str | None]) -> list[Text]:
        return of(lambda box: _median(document(box, "telemetry"), key, tell))

    columns = [
        _Column("box", 100, of(lambda box: box.device, away=True), "left", _MOST_NAME),
        _Column("state", 90, of(_state, away=True), "left"),
        _Column("busy", 80, of(lambda box: f"{box.running}/{box.slots}")),
        _Column("waiting", 70, of(lambda box: str(box.waiting))),
        _Column("room", 20, of(lambda box: str(box.room))),
        _Column("tokens/s", 50, median("decode_tokens_per_s", words.rate)),
        _Column("first token", 30, median("ttft_ms", words.latency)),
        _Column("CPU", 40, of(lambda box: _heat(document(box, "health")))),
        _Column("since", 10, of(lambda box: _since(box, now), away=True)),
    ]
    if _common(seen, "model") is None:
        most = Counter(box.model for box in _there(seen)).most_common(1)
        usual = most[0][0] if most else None
        columns.append(_Column("model", 60, of(lambda box: _model(box, usual)), "left", _MOST_MODEL))
    if _common(seen, "version") is None:
        columns.append(_Column("version", 15, of(lambda box: box.version), "left"))
    # A column in which nothing stands is of no use.
    return [column for column in columns if any(cell.plain for cell in column.cells)]


def _state(box: BoxState) -> Text:
    text = Text(box.state.value, style=_COLOURS[box.state])
    # Why, is long, and of one box: its `status` and --json say it.
    return text.append(", held back", style="yellow") if box.held_back else text


def _model(box: BoxState, usual: str | None) -> Text:
    return Text(harmless.line(box.model or "none"), style="" if box.model == usual else "yellow")


def _since(box: BoxState, now: float) -> str:
    """Return since when; of one that died nobody knows: its will was written before."""
    since = _figure(box.since)
    return "?" if since is None else words.period(now - since)


def _median(telemetry: Mapping[str, Any], key: str, tell: Callable[[float], str | None]) -> str:
    percentiles = telemetry.get(key)
    value = _figure(percentiles.get("p50")) if isinstance(percentiles, dict) else None
    return "" if value is None else tell(value) or ""


def _figure(value: Any) -> float | None:
    """Return a number that a person can read; None for whatever else was published, infinity too."""
    return value if isinstance(value, int | float) and abs(value) < _MOST_FIGURE else None


def _heat(health: Mapping[str, Any]) -> Text:
    celsius = _figure(health.get("cpu_temperature_c"))
    told = [] if celsius is None else [Text(words.heat(celsius))]
    told += [
        Text(name.replace("_", " "), style="red")
        for name in ("throttled", "under_voltage")
        if health.get(name)
    ]
    return Text(", ").join(told)
