"""`edgeassist recommend`: which model suits this device, and why."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.table import Table

from edgeassist.cli.consoles import Console
from edgeassist.device.bandwidth import measure_bandwidth
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.thermal import cpu_temperature_c
from edgeassist.errors import ConfigurationError
from edgeassist.folders import box_state_directory
from edgeassist.models.builtin import TINY
from edgeassist.models.recommend import Board, Need, Option, recommend
from edgeassist.tuning.rates import tuned_rates


def recommend_model(
    need: Annotated[Need, typer.Argument(help="What the device is for.")] = Need.ENGLISH,
    memory_gb: Annotated[
        float | None,
        typer.Option(min=0.25, help="As if the device had this much memory.", show_default=False),
    ] = None,
    bandwidth_gb: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="As if its memory moved this many GB a second; a Raspberry Pi 4 moves about 4, a Pi 5 10.",
            show_default=False,
        ),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            help="What `bench --compare --json` printed: its tokens a second go before those of `tune`, and "
            "before the estimate. Models are found there by their names, such as qwen2.5-0.5b:q4_k_m.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Say which model suits this device, with the numbers that speak for it.

    Memory: weights, 2,048 tokens of context, daemon and engine must fit into three quarters of the device's.
    Speed: as `edgeassist tune` has measured it here; else what memory moves in a second, over what a token
    reads.
    """
    choice = choose_threads(read_cpu_snapshot(), None)
    board = board_of(memory_gb, bandwidth_gb, choice.threads)
    # What was measured here says nothing of another board.
    tuned = {} if bandwidth_gb is not None else tuned_rates(box_state_directory())
    options = recommend(board, need, tuned if measured is None else {**tuned, **_rates(measured)})
    if as_json:
        print(_to_json(board, need, options))
        return
    console = Console(highlight=False, soft_wrap=True)
    temperature = cpu_temperature_c()
    heat = "" if temperature is None else f", {temperature:.0f} °C"
    console.print(
        f"{platform.machine()}, {choice.threads} threads, {board.memory_bytes / 1e9:.1f} GB of memory that "
        f"moves {board.bandwidth / 1e9:.1f} GB/s{heat}"
    )
    console.print(_table(options, need))
    _print_choice(console, options, need)


def board_of(memory_gb: float | None, bandwidth_gb: float | None, threads: int) -> Board:
    """Return this device, measured, or as if it had what is given."""
    bandwidth = bandwidth_gb * 1e9 if bandwidth_gb is not None else measure_bandwidth(threads)
    memory = int(memory_gb * 1e9) if memory_gb is not None else psutil.virtual_memory().total
    return Board(memory, bandwidth)


def _table(options: list[Option], need: Need) -> Table:
    table = Table("model", title=f"for: {need.value}; ~ is an estimate", title_justify="left")
    for head in ("parameters", "memory", "tokens/s"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("suits")
    for each in options:
        table.add_row(
            each.name,
            f"{each.entry.parameters / 1e9:.2f} B",
            f"{each.memory_bytes / 1e9:.1f} GB",
            f"{'' if each.measured else '~'}{each.tokens_per_s:.1f}",
            "no" if each.objections else "yes",
            style="dim" if each.objections else "",
        )
    return table


def _print_choice(console: Console, options: list[Option], need: Need) -> None:
    for each in options:
        for objection in each.objections:
            console.print(f"[dim]{each.name}: {objection}[/]")
    best = options[0]
    if best.objections:
        console.print(
            f"[yellow]no known model suits this device for {need.value}[/]; the nearest is {best.name}. "
            f"{TINY}, which comes along, suits any device, and knows what is said to a home only"
        )
        return
    entry = best.entry
    console.print(f"[bold]{best.name}[/], {_WHY[need]}: {best.variant.size_bytes / 1e9:.2f} GB to download,")
    console.print(
        f"licence {entry.licence}, served by the backend {best.variant.backend}; from {entry.source}"
    )
    if best.variant.sources:
        console.print(f"get it with: edgeassist models pull {best.pull_name}")
    console.print("[dim]to control a home with Home Assistant's tools: context = 8192 below \\[model][/]")


_WHY = {
    Need.CHINESE: "the largest that knows Chinese, fits, and answers as fast as a person reads",
    Need.ENGLISH: "the largest that fits and answers as fast as a person reads",
    Need.MEMORY: "which leaves the most memory to others",
    Need.PROTOTYPE: "which answers fastest",
    Need.SERVER: "the largest that fits with four conversations at once",
}


def _rates(path: Path) -> dict[str, float]:
    """Return tokens a second by model, of a comparison that the bench printed."""
    try:
        document = json.loads(path.read_bytes())
        decode = next(row for row in document["comparisons"] if row["figure"]["name"] == "decode")
        return {name.lower(): float(spread["median"]) for name, spread in decode["sides"].items()}
    except OSError as error:
        raise ConfigurationError(f"--measured: can't read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
        raise ConfigurationError(
            f"--measured: {path} is not what edgeassist bench --compare --json prints"
        ) from None


def _to_json(board: Board, need: Need, options: list[Option]) -> str:
    return json.dumps(
        {
            "need": need.value,
            "memory_bytes": board.memory_bytes,
            "bandwidth_bytes_per_s": round(board.bandwidth),
            "options": [option_fields(each) for each in options],
        },
        indent=2,
    )


def option_fields(option: Option) -> dict[str, Any]:
    """Return all that is known of a model on a device, as JSON has it."""
    entry, variant = option.entry, option.variant
    return {
        "model": entry.name,
        "variant": variant.name,
        "backend": variant.backend,
        "parameters": entry.parameters,
        "size_bytes": variant.size_bytes,
        "size_basis": variant.basis.value,
        "memory_bytes": option.memory_bytes,
        "tokens_per_s": round(option.tokens_per_s, 2),
        "measured": option.measured,
        "pi5_tokens_per_s": entry.pi5,
        "licence": entry.licence,
        "languages": list(entry.languages),
        "thinking": entry.thinking.value,
        "tools": entry.tools or None,
        "prefix_reuse": entry.reuse.value,
        "source": entry.source,
        "pull": option.pull_name if variant.sources else None,
        "sources": list(variant.sources),
        "suits": not option.objections,
        "objections": list(option.objections),
    }
