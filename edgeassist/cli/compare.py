"""`edgeassist bench --compare`: models side by side, on either backend."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from edgeassist.cli.consoles import Console
from edgeassist.cli.instrument import (
    Begin,
    Shown,
    named_model,
    need,
    progress,
    random_models,
    run_until_signalled,
)
from edgeassist.errors import ConfigurationError, ExitStatus
from edgeassist.models.builtin import is_builtin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeassist.bench.comparison import Candidate, Compared
    from edgeassist.bench.plan import Plan
    from edgeassist.evaluation.quality.tasks import Task

# The reference models.
DEFAULT = ("qwen2.5-0.5b:q4_k_m", "qwen2.5-0.5b:q4_0", "phi-3-mini:int4")


def compare_side_by_side(names: Sequence[str], plan: Plan, tasks: Sequence[Task], shown: Shown) -> None:
    """Measure the models and print the results.

    Args:
        names: Files, folders, `builtin:tiny`, or `SHAPE:QUANT` for random weights.
        plan: Tokens in and out, runs, threads, context.
        tasks: What is asked of each model that is not random, to count the right answers; empty: nothing.
        shown: How the results are shown.

    Raises:
        EdgeAssistError: A model can't be measured; the message says why.
    """
    if shown.picture is not None:
        need("matplotlib", "matplotlib, which --picture needs,", "bench")
    from edgeassist.bench.comparison import compare_models  # noqa: PLC0415 - needs numpy

    with progress() as (begin, count):
        candidates = [_candidate(name, plan.threads, begin) for name in names]
        repeated = {each.name for each in candidates if sum(each.name == one.name for one in candidates) > 1}
        if repeated:
            raise ConfigurationError(f"--compare: {sorted(repeated)[0]} is named twice")
        asked = sum(not each.is_random for each in candidates)
        count(plan.runs * len(candidates) + asked * len(tasks))
        compared = run_until_signalled(compare_models(candidates, plan, begin, tasks))
    if shown.as_json:
        print(json.dumps(dataclasses.asdict(compared), indent=2))
    else:
        _print(compared, plan, as_markdown=shown.as_markdown)
    if shown.picture is not None:
        from edgeassist.bench.picture import Panel, draw_panels, label  # noqa: PLC0415 - of an extra

        rows = [(label(row), row) for row in compared.comparisons]
        title = f"{plan.prompt_tokens} tokens in, {plan.max_tokens} out"
        draw_panels([Panel(title, rows)], compared.machine, plan, shown.picture)
    if compared.missing is not None:
        raise typer.Exit(ExitStatus.FAILURE)


def _candidate(name: str, threads: int, begin: Begin) -> Candidate:
    from edgeassist.bench.comparison import Candidate  # noqa: PLC0415 - needs numpy

    shape, colon, quant = name.partition(":")
    if colon and not is_builtin(Path(name)) and not Path(name).exists():
        return Candidate(name, random_models(shape, [quant.lower()], threads, begin)[0], is_random=True)
    path = named_model(Path(name))
    return Candidate(path.name, path)


def _print(compared: Compared, plan: Plan, *, as_markdown: bool) -> None:
    from edgeassist.bench.quality import quality_notes  # noqa: PLC0415 - as above
    from edgeassist.bench.table import comparison_rows, markdown, rows_table  # noqa: PLC0415 - as above

    rows = comparison_rows(compared.comparisons, list(compared.libraries))
    left_out = quality_notes(compared.quality)
    if as_markdown:
        print("\n\n".join([markdown(rows), *left_out]))
        return
    console = Console(highlight=False, soft_wrap=True)
    machine = compared.machine
    console.print(f"{machine.cpu}; {machine.cores or '?'} cores, {machine.cpus} processors")
    console.print(rows_table(rows, _title(plan)))
    for name, library in compared.libraries.items():
        tokens = compared.tokens[name]
        console.print(f"[dim]{name}: {library}; tokens in and out: {tokens[0][0]}, {tokens[0][1]}[/]")
    cache = "had left the page cache" if compared.cold else "may have been in the page cache"
    console.print(f"[dim]before each start, the model's files {cache}[/]")
    for line in left_out:
        console.print(f"[yellow]{escape(line)}[/]")
    if compared.missing is not None and compared.missing not in left_out:
        console.print(f"[yellow]not measured: {compared.missing}[/]")


def _title(plan: Plan) -> str:
    return (
        f"{plan.prompt_tokens} tokens in, {plan.max_tokens} out, one client, {plan.threads} threads, "
        f"medians of {plan.runs}"
    )
