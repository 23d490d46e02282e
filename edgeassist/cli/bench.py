"""`edgeassist bench`: how fast a client gets its answer, against what llama.cpp can do on this machine."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import platformdirs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from edgeassist.device.cores import choose_threads
from edgeassist.device.sensors import read_cpu_snapshot
from edgeassist.errors import ConfigurationError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeassist.bench.figures import Comparison
    from edgeassist.bench.run import Plan, Result

SHAPE = "qwen2.5-0.5b"


def bench(
    model: Annotated[
        Path | None,
        typer.Option(help="A GGUF file; without one, random weights of a known shape.", show_default=False),
    ] = None,
    synthetic: Annotated[str, typer.Option(help="The shape of the random weights.")] = SHAPE,
    quant: Annotated[str, typer.Option(help="Their quantizations, separated by commas.")] = "q4_0",
    prompt_tokens: Annotated[int, typer.Option(min=32, max=100_000, help="About so many tokens in.")] = 512,
    max_tokens: Annotated[int, typer.Option(min=2, max=100_000, help="At most so many tokens out.")] = 128,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Pairs of runs.")] = 5,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Without it, as the daemon chooses.", show_default=False)
    ] = None,
    idle_s: Annotated[
        float, typer.Option(min=0, help="Measure for so many seconds what doing nothing costs.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure tokens a second and the time to the first token, as an MQTT client sees them.

    A private broker and the daemon answer prompts; in turns with them, a bare loop over llama.cpp computes
    as much with the same file, threads and batch size. The ratio is what the way over MQTT leaves of the
    speed. Needs the program mosquitto and memory for the model twice; close other programs.
    """
    if find_spec("llama_cpp") is None:
        raise ModelError("llama-cpp-python is not installed: pip install 'edgeassist[llama]'")
    # numpy and gguf come with the same extra; no other command should need them.
    from edgeassist.bench.run import Plan, measure  # noqa: PLC0415

    # The broker and the daemon have sessions of their own: nobody else ends them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    choice = choose_threads(read_cpu_snapshot(), threads)
    plan = Plan(prompt_tokens, max_tokens, runs, choice.threads, idle_s)
    results = []
    with _progress() as progress:
        task = progress.add_task("", total=None)

        def begin(what: str, done: int | None = None) -> None:
            progress.update(task, completed=done, description=what, refresh=True)

        paths = _models(model, synthetic, quant, choice.threads, begin)
        progress.reset(task, total=plan.steps * len(paths))
        for number, path in enumerate(paths):

            def step(what: str, done: int, path: Path = path, before: int = number * plan.steps) -> None:
                begin(f"{path.stem}: {what}", before + done)

            results.append(asyncio.run(measure(path, plan, step)))
    if as_json:
        document = {
            "plan": {**dataclasses.asdict(plan), "context": plan.context, "batch": plan.batch},
            "results": [dataclasses.asdict(result) for result in results],
        }
        print(json.dumps(document, indent=2))
    else:
        _print(results, plan, choice.reason)


def _models(
    model: Path | None, shape: str, quant: str, threads: int, begin: Callable[[str], None]
) -> list[Path]:
    if model is not None:
        if not model.is_file():
            raise ConfigurationError(f"--model: there is no file {model}")
        return [model]
    from edgeassist.bench.models import synthetic_models  # noqa: PLC0415 - as above

    names = [name.strip().lower() for name in quant.split(",")]
    folder = platformdirs.user_cache_path("edgeassist") / "models"
    return synthetic_models(folder, shape, names, threads=threads, on_step=begin)


def _progress() -> Progress:
    """Return a bar that is drawn between runs only: a refreshing one would take time from what it shows."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not console.is_terminal,
    )


def _print(results: list[Result], plan: Plan, threads_reason: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    machine = results[0].machine
    console.print(f"{machine.cpu}; {machine.cores or '?'} cores, {machine.cpus} processors; {threads_reason}")
    console.print(f"[dim]llama-cpp-python {machine.llama_cpp_python}: {machine.llama_cpp}[/]")
    for result in results:
        title = (
            f"{result.model}, {result.size_bytes / 1e6:,.0f} MB: "
            f"{result.prompt_tokens.median:.0f} tokens in, {plan.max_tokens} out, {plan.runs} runs"
        )
        table = Table("", title=title, title_justify="left")
        for column in ("through MQTT", "bare llama.cpp", "ratio", "min..max"):
            table.add_column(column, justify="right")
        table.add_row("decode, tokens/s", *_cells(result.decode_tokens_per_s, 1))
        table.add_row("first token, ms", *_cells(result.ttft_ms, 0))
        console.print(table)
        console.print(f"CPU while answering: {_percents(result.cpu_answering)}")
        if result.cpu_idle:
            console.print(f"CPU while idle: {_percents(result.cpu_idle)}")
        if result.disturbed:
            console.print(
                f"[yellow]other programs disturbed: {result.disturbed} more runs were left out, and during "
                f"those that count they took up to {100 * result.others.high:.0f} % of the processors[/]"
            )


def _cells(figures: Comparison, digits: int) -> tuple[str, ...]:
    ratio = figures.ratio
    return (
        f"{figures.mqtt.median:,.{digits}f}",
        f"{figures.bare.median:,.{digits}f}",
        f"{ratio.median:.3f}",
        f"{ratio.low:.3f}..{ratio.high:.3f}",
    )


def _percents(used: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent:.1f} %" for name, percent in used.items()) + " of one core"
