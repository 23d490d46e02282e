"""The figures as tables, for a terminal or Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from edgeassist.bench.figures import DEVICE, Better, Comparison, Spread
from edgeassist.bench.plan import Plan
from edgeassist.bench.run import Result

ARROWS = {Better.HIGHER: "↑", Better.LOWER: "↓"}
# Smaller values are shown with a decimal.
_FINE = 100


def make_table(result: Result, plan: Plan) -> Table:
    """Return a table: a section per scenario, a row per figure, a column per side, then the ratios."""
    sides = sides_of(result)
    counts = {len(measured.repetitions) for measured in result.scenarios}
    runs = str(plan.runs) if counts == {plan.runs} else f"{min(counts)} to {max(counts)} of {plan.runs}"
    title = (
        f"{result.model}, {number(result.size_bytes / 1e6)} MB, {plan.threads} threads, runs: {runs}\n"
        "medians; ratios run by run (lowest..highest); ↑ higher is better, ↓ lower is better"
    )
    table = Table("", title=title, title_justify="left")
    for side in sides:
        table.add_column(side, justify="right")
    for side in sides[1:]:
        table.add_column(f"{DEVICE} / {side}", justify="right", no_wrap=True)
    for measured in result.scenarios:
        table.add_section()
        table.add_row(f"[bold]{measured.scenario}[/]")
        for comparison in measured.comparisons:
            table.add_row(*_cells(comparison, sides))
    return table


def comparison_rows(comparisons: Sequence[Comparison], names: Sequence[str]) -> list[list[str]]:
    """Return what is compared as rows of cells, a column for each name; the first row is the header."""
    rows = [["", *names]]
    for row in comparisons:
        cells = [
            number(row.sides[name].median, row.figure.decimals) if name in row.sides else "" for name in names
        ]
        rows.append([f"{row.figure.name}, {row.figure.unit} {ARROWS[row.figure.better]}", *cells])
    return rows


def rows_table(rows: list[list[str]], title: str) -> Table:
    """Return rows as a table for a terminal; the first row is the header."""
    head, *rows = rows
    table = Table(head[0], title=title, title_justify="left")
    for name in head[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def markdown(rows: list[list[str]]) -> str:
    """Return rows as a Markdown table; the first row is the header."""
    head, *rest = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def notes(result: Result) -> list[str]:
    """Return notes on CPU use, disturbed runs and what is missing, as lines with rich markup."""
    lines = []
    for measured in result.scenarios:
        for side, used in measured.cpu.items():
            lines.append(f"CPU while answering, {measured.scenario}, {side}: {_percents(used)}")
        if measured.disturbed:
            lines.append(
                f"[yellow]{measured.scenario}: other programs disturbed: {measured.disturbed} more runs were "
                f"left out, and during those that count they took up to {100 * measured.others.high:.0f} % "
                "of the processors[/]"
            )
    if result.cpu_idle:
        lines.append(f"CPU while idle: {_percents(result.cpu_idle)}")
    lines += [f"[yellow]not measured: {each}[/]" for each in result.missing]
    return lines


def sides_of(result: Result) -> list[str]:
    """Return all sides that have a figure, the device first."""
    comparisons = [comparison for measured in result.scenarios for comparison in measured.comparisons]
    sides = dict.fromkeys(side for comparison in comparisons for side in comparison.sides)
    # A turn may have begun with another.
    return sorted(sides, key=lambda side: side != DEVICE)


def number(value: float, decimals: int = 1) -> str:
    """Format a value for people; a large one without decimals."""
    return f"{value:,.0f}" if abs(value) >= _FINE else f"{value:,.{decimals}f}"


def _cells(comparison: Comparison, sides: list[str]) -> list[str]:
    figure = comparison.figure
    return [
        f"  {figure.name}, {figure.unit} {ARROWS[figure.better]}",
        *(
            number(comparison.sides[side].median, figure.decimals) if side in comparison.sides else ""
            for side in sides
        ),
        *(_ratio(comparison.ratios[side]) if side in comparison.ratios else "" for side in sides[1:]),
    ]


def _ratio(ratio: Spread) -> str:
    return f"{ratio.median:.3f} ({ratio.low:.3f}..{ratio.high:.3f})"


def _percents(used: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent:.1f} %" for name, percent in used.items()) + " of one core"
