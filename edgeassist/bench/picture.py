"""The figures as a picture: bars for the sides, side by side; the only importer of matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from edgeassist.bench.figures import DEVICE, Better, Comparison
from edgeassist.bench.plan import Plan
from edgeassist.bench.run import Measured, Result
from edgeassist.bench.table import number, sides_of
from edgeassist.errors import ConfigurationError

# Okabe and Ito's colours, which colour-blind people can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#999999")
_WIDTH_IN = 12.0
_BAR_IN = 0.2
_PANEL_IN = 1.1
_HEAD_IN = 1.0
_ROOM = 1.9

_Row = tuple[Measured, Comparison]


def draw(results: Sequence[Result], plan: Plan, path: Path) -> None:
    """Write a PNG: a panel for each unit of each model, whiskers from the lowest to the highest run.

    Raises:
        ConfigurationError: The file can't be written.
    """
    panels = [(result, rows) for result in results for rows in _by_unit(result)]
    heights = [len(rows) * (len(sides_of(result)) + 1) * _BAR_IN + _PANEL_IN for result, rows in panels]
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        canvas = Canvas(figsize=(_WIDTH_IN, sum(heights) + _HEAD_IN), layout="constrained")
        axes = canvas.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (result, rows) in zip(axes, panels, strict=True):
            _draw_panel(axis, result, rows)
        machine = results[0].machine
        canvas.suptitle(
            f"EdgeAssist {machine.edgeassist} on {machine.cpu}, {machine.cpus} processors, {plan.threads} "
            f"threads\nmedians of {plan.runs} runs; whiskers: lowest and highest run",
            fontsize=11,
        )
        try:
            canvas.savefig(path, format="png", dpi=130)
        except OSError as error:
            raise ConfigurationError(f"--picture: can't write {path}: {error.strerror}") from error


def _by_unit(result: Result) -> list[list[_Row]]:
    units: dict[str, list[_Row]] = {}
    for measured in result.scenarios:
        for comparison in measured.comparisons:
            units.setdefault(comparison.figure.unit, []).append((measured, comparison))
    return list(units.values())


def _draw_panel(axis: Axes, result: Result, rows: list[_Row]) -> None:
    sides = sides_of(result)
    figure = rows[0][1].figure
    thickness = 1 / (len(sides) + 1)
    for index, side in enumerate(sides):
        points = [(at, row[1]) for at, row in enumerate(rows) if side in row[1].sides]
        spreads = [comparison.sides[side] for _, comparison in points]
        middles = [at + (index - (len(sides) - 1) / 2) * thickness for at, _ in points]
        values = [spread.median for spread in spreads]
        whiskers = [
            [spread.median - spread.low for spread in spreads],
            [spread.high - spread.median for spread in spreads],
        ]
        axis.barh(
            middles, values, thickness, color=_COLOURS[index % len(_COLOURS)], label=side,
            xerr=whiskers, error_kw={"ecolor": "#333333", "elinewidth": 0.8, "capsize": 2},
        )  # fmt: skip
        for middle, spread, (_, comparison) in zip(middles, spreads, points, strict=True):
            axis.annotate(
                _label(comparison, side), (spread.high, middle), xytext=(5, 0), textcoords="offset points",
                va="center", fontsize=8,
            )  # fmt: skip
    axis.set_yticks(range(len(rows)), [f"{row[0].scenario}: {row[1].figure.name}" for row in rows])
    axis.invert_yaxis()
    lows = [spread.low for _, comparison in rows for spread in comparison.sides.values()]
    highs = [spread.high for _, comparison in rows for spread in comparison.sides.values()]
    if figure.better is Better.LOWER and max(highs) > 20 * min(lows) > 0:
        axis.set_xscale("log")
        axis.set_xlim(min(lows) / 1.5, max(highs) * 2 * _ROOM)
    else:
        axis.set_xlim(0, max(highs) * (1 + _ROOM / 10))
    axis.set_xlabel(f"{figure.unit} ({figure.better} is better)")
    axis.set_title(f"{result.model}: {figure.unit}", loc="left", fontsize=10, fontweight="bold")
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(loc="lower right", fontsize=8, frameon=False)


def _label(comparison: Comparison, side: str) -> str:
    """Return a side's median, and what part of it the device has."""
    median = number(comparison.sides[side].median)
    ratio = comparison.ratios.get(side)
    return median if ratio is None else f"{median}   {DEVICE} × {ratio.median:.2f}"
