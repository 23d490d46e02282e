"""`edgeassist bench --quality`: how many tasks with known answers a model does right."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from edgeassist.cli.consoles import Console
from edgeassist.cli.instrument import Shown, named_model, progress, run_until_signalled
from edgeassist.errors import ConfigurationError, ExitStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgeassist.bench.plan import Plan
    from edgeassist.evaluation.quality.report import Quality
    from edgeassist.evaluation.quality.tasks import Task


def asked_tasks(name: str | None, limit: int | None) -> list[Task]:
    """Return the tasks of a file, None: those that come with the package; so many at most.

    Raises:
        EdgeAssistError: They can't be read.
    """
    from edgeassist.evaluation.quality.evaluate import load_tasks  # noqa: PLC0415 - needs pydantic
    from edgeassist.evaluation.source import BUILTIN  # noqa: PLC0415 - as above

    return load_tasks(name or BUILTIN, limit)


def measure_quality(model: Path | None, plan: Plan, tasks: Sequence[Task], shown: Shown) -> None:
    """Ask a model the tasks, on the device and on the plan's peer, and print how many are right.

    Raises:
        EdgeAssistError: It can't be asked; the message says why.
        typer.Exit: Answers are missing.
    """
    if model is None:
        raise ConfigurationError(
            "--quality asks a model that has learned something: name it with --model, or several with "
            "--compare"
        )
    from edgeassist.bench.quality import qualities_of, quality_rows  # noqa: PLC0415 - needs numpy

    path = named_model(model)
    with progress() as (begin, count):
        count(len(tasks) * (1 if plan.peer is None else 2))
        qualities = run_until_signalled(qualities_of(path, plan, tasks, begin))
    if shown.as_json:
        print(json.dumps({name: dataclasses.asdict(each) for name, each in qualities.items()}, indent=2))
    else:
        _print(path.name, qualities, as_markdown=shown.as_markdown)
    if shown.picture is not None:
        from edgeassist.bench.machine import read_machine  # noqa: PLC0415 - as above
        from edgeassist.bench.picture import Panel, draw_panels, label  # noqa: PLC0415 - of an extra

        rows = [(label(row), row) for row in quality_rows(qualities)]
        draw_panels([Panel(path.name, rows)], read_machine(library=""), plan, shown.picture)
    if any(each.missing is not None for each in qualities.values()):
        raise typer.Exit(ExitStatus.FAILURE)


def _print(name: str, qualities: Mapping[str, Quality], *, as_markdown: bool) -> None:
    from edgeassist.bench.quality import quality_notes, quality_rows  # noqa: PLC0415 - as above
    from edgeassist.bench.table import comparison_rows, markdown, rows_table  # noqa: PLC0415 - as above

    rows = comparison_rows(quality_rows(qualities), list(qualities))
    notes = quality_notes(qualities)
    if as_markdown:
        print("\n\n".join([markdown(rows), *notes]))
        return
    console = Console(highlight=False, soft_wrap=True)
    digest = next(iter(qualities.values())).digest
    console.print(rows_table(rows, f"{escape(name)}; greedy, one task after another; tasks {digest}"))
    for line in notes:
        console.print(f"[yellow]{escape(line)}[/]")
    console.print("[dim]--json tells each answer, and what is wrong with it[/]")
