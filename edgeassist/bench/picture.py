"""The figures as a bar chart. The only module that imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from edgeassist.bench.figures import DEVICE, Comparison
from edgeassist.bench.machine import Machine
from edgeassist.bench.plan import Plan
from edgeassist.bench.run import Result
from edgeassist.bench.table import ARROWS, number
from edgeassist.errors import ConfigurationError

# Okabe and Ito's palette, safe for colour blindness.
_COLOURS = ("#0072B2", "#E69F00", "#999999", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_INK = "#333333"
_WIDTH_IN = 11.0
_BAR_IN = 0.19
_HEAD_IN = 1.1
# The share of the width for bars; the rest is for their labels.
_BARS_END = 0.68


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the picture: its title, and labelled figures."""

    title: str
    rows: Sequence[tuple[str, Comparison]]

    @property
    def sides(self) -> list[str]:
        """All sides that have bars."""
        return list(dict.fromkeys(side for _, row in self.rows for side in row.sides))


def draw(results: Sequence[Result], plan: Plan, path: Path) -> None:
    """Write a PNG of the results, one panel per model (`draw_panels`)."""
    panels = [
        Panel(
            f"{result.model}, {number(result.size_bytes / 1e6)} MB",
            [
                (label(row, f"{measured.scenario}: "), row)
                for measured in result.scenarios
                for row in measured.comparisons
            ],
        )
        for result in results
    ]
    draw_panels(panels, results[0].machine, plan, path)


def label(row: Comparison, scenario: str = "") -> str:
    """Return a figure's label: scenario, name, unit and which direction is better."""
    return f"{scenario}{row.figure.name}, {row.figure.unit} {ARROWS[row.figure.better]}"


def draw_panels(panels: Sequence[Panel], machine: Machine, plan: Plan, path: Path) -> None:
    """Write a PNG with one group of bars per figure and whiskers from the lowest to the highest run.

    Each figure has its own scale, from 0 to the most that it can be or has been: compare bars within a
    group, not across groups.

    Raises:
        ConfigurationError: The file can't be written.
    """
    heights = [_BAR_IN * (0.6 + sum(len(row.sides) + 0.9 for _, row in panel.rows)) for panel in panels]
    with mpl.rc_context({"font.size": 9}):
        canvas = Canvas(figsize=(_WIDTH_IN, sum(heights) + _HEAD_IN), layout="constrained")
        axes = canvas.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            _draw_panel(axis, panel)
        canvas.suptitle(
            f"EdgeAssist {machine.edgeassist}, {machine.cpu}, {machine.cpus} processors, "
            f"{plan.threads} threads, runs: {plan.runs}\nmedians, whiskers from the lowest to the highest; "
            "each figure has its own scale; ↑ higher is better, ↓ lower is better",
            fontsize=10,
        )
        try:
            canvas.savefig(path, format="png", dpi=130)
        except OSError as error:
            raise ConfigurationError(f"--picture: can't write {path}: {error.strerror}") from error


def _draw_panel(axis: Axes, panel: Panel) -> None:
    sides = panel.sides
    ticks, at = [], 0.0
    for _, row in panel.rows:
        # A short answer may use less of the processors than a sample shows.
        most = row.figure.most or max(spread.high for spread in row.sides.values())
        full = (most or 1.0) / _BARS_END
        ticks.append(at + (len(row.sides) - 1) / 2)
        for side, spread in row.sides.items():
            median, low, high = (value / full for value in (spread.median, spread.low, spread.high))
            axis.barh(at, median, 0.92, color=_COLOURS[sides.index(side) % len(_COLOURS)])
            axis.errorbar(
                median, at, xerr=[[median - low], [high - median]], color=_INK, elinewidth=0.8, capsize=2
            )
            axis.annotate(
                _label(row, side), (high, at), xytext=(5, 0), textcoords="offset points", va="center",
                fontsize=8,
            )  # fmt: skip
            at += 1
        at += 0.9
    axis.set_yticks(ticks, [name for name, _ in panel.rows])
    axis.set_ylim(at - 0.5, -1.1)
    axis.set_xlim(0, 1)
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.set_title(panel.title, loc="left", fontweight="bold")
    patches = [axis.barh(0, 0, color=_COLOURS[index % len(_COLOURS)]) for index in range(len(sides))]
    axis.legend(
        patches, sides, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(sides), frameon=False,
        borderaxespad=0.2,
    )  # fmt: skip


def _label(row: Comparison, side: str) -> str:
    """Return a side's median; for the device also its ratios to the others."""
    median = number(row.sides[side].median, row.figure.decimals)
    ratios = [f"{ratio.median:.2f} × {other}" for other, ratio in row.ratios.items() if side == DEVICE]
    return "   ".join([median, ", ".join(ratios)]).rstrip()
