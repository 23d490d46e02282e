"""`edgeassist tune`: which settings of the engine are fastest on this device, measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from edgeassist.cli.consoles import Console
from edgeassist.cli.instrument import progress, run_until_signalled
from edgeassist.cli.tuning import Outcome, Work, check_copies, measure, prepare, result_of
from edgeassist.errors import BusyError, ConfigurationError, ExitStatus, UnsupportedError
from edgeassist.folders import box_state_directory
from edgeassist.settings import load_settings
from edgeassist.tuning.kept import NAME, Result, keep, may_keep, withdraw
from edgeassist.tuning.plan import TRIED, names_of
from edgeassist.tuning.quiet import Quiet, engines
from edgeassist.tuning.report import as_string, as_toml, kv_words, other_file, remarks_of, verdict_of

# Output width when not a terminal, so that tables don't wrap.
_FILE_WIDTH = 160
_NOTHING = "there is nothing to try: one core, and a model or a configuration that leaves nothing else open"


def tune(
    context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Option(
            help="A GGUF file or a folder of ONNX Runtime GenAI; without it, the one that is served.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.05, max=240, help="The longest that it may take.")] = 5,
    quantize: Annotated[
        bool,
        typer.Option(
            "--quantize",
            help="Also make Q4_0 and Q4_K_M of a larger file (F16, Q8_0), into the folder of models.",
        ),
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Let the daemon take what was found, from its next start on.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Measure nothing; the daemon takes nothing of it any more.")
    ] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Measure although a daemon runs: both disturb each other.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Try threads, batch sizes, load mode, KV type and quantizations here, and say which are faster.

    Takes minutes, and uses all cores. Options take turns; a difference counts only beyond noise. The figures
    are kept for `recommend`; nothing else changes without `--apply`, and your configuration never does: what
    stands there goes before what was tuned. Ctrl-C ends it, with what is known until then.
    """
    folder = box_state_directory()
    if forget:
        done = withdraw(folder)
        print(f"{folder / NAME}: " + ("nothing of it is used any more" if done else "nothing of it was used"))
        return
    loaded = load_settings(context.obj)
    if apply and not may_keep(folder):
        raise ConfigurationError(f"--apply: {folder} can't be written by this user: sudo edgeassist tune")
    _check_alone(beside=beside)
    work = prepare(loaded, model, folder, minutes)
    if quantize:
        check_copies(work)
    elif not names_of(work.situation):
        raise UnsupportedError(_NOTHING)
    outcome = _measure(work, quantize=quantize)
    result = result_of(work, outcome, apply=apply)
    if may_keep(folder):
        keep(folder, result)
    if as_json:
        print(_to_json(result, outcome))
    else:
        _print(outcome, result, folder)
    if outcome.interrupted:
        raise typer.Exit(ExitStatus.FAILURE)


def _measure(work: Work, *, quantize: bool) -> Outcome:
    """Return an outcome that has figures.

    Raises:
        EdgeAssistError: There are none.
        typer.Exit: It was ended before there were any.
    """
    with progress() as (begin, count):
        _announce(work, quantize=quantize)
        outcome = run_until_signalled(measure(work, begin, count, quantize=quantize))
    if any(each.samples for each in outcome.tried):
        return outcome
    for made in outcome.quantized:
        print(f"made, and kept: {made}", file=sys.stderr)
    if outcome.interrupted:
        Console(stderr=True).print("ended before anything was measured")
        raise typer.Exit(ExitStatus.FAILURE)
    if outcome.remarks:
        raise BusyError(f"nothing was measured within {work.seconds:g} s: give it more (--minutes)")
    raise UnsupportedError(_NOTHING)


def _check_alone(*, beside: bool) -> None:
    running = engines()
    if running and not beside:
        raise BusyError(
            f"an engine of EdgeAssist runs here (process {running[0]}), and both would disturb each other: "
            "stop it first (sudo systemctl stop edgeassist), or say --beside"
        )
    if running:
        Console(stderr=True).print(
            "[yellow]an engine of EdgeAssist runs: its answers disturb these figures[/]"
        )


def _announce(work: Work, *, quantize: bool) -> None:
    names = names_of(work.situation)
    if quantize and "quantization" not in names:
        names.insert(1, "quantization")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    model = work.situation.model
    size = f"{model.size_bytes / 1e6:,.1f} MB"
    console.print(
        f"{escape(model.name)} {model.quantization}, {size}: tries {', '.join(names)}, for at most "
        f"{work.seconds / 60:g} minutes. Close other programs; Ctrl-C ends it and keeps what is "
        "known."
    )
    for key in sorted(work.situation.taken & TRIED):
        console.print(f"[dim]{key} is set in your configuration, and stays[/]")
    if disturbed := Quiet().now():
        console.print(f"[yellow]{disturbed}, also now: such answers are measured again, or do not count[/]")


def _print(outcome: Outcome, result: Result, folder: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(f"{escape(result.device.board)}, {result.library}")
    console.print(_table(outcome, result))
    for line in [*outcome.remarks, *remarks_of(outcome.tried)]:
        console.print(f"[dim]{escape(line)}[/]")
    for made in outcome.quantized:
        console.print(f"made: {escape(str(made))}")
    if outcome.interrupted:
        console.print("[yellow]it was ended before its time: what is not in the table was not tried[/]")
    faster = other_file(outcome.tried)
    if faster is not None:
        path, words = faster
        console.print(
            f"[bold]a faster file[/] ({words}); it answers differently: "
            f"model.path = {escape(as_string(path))}"
        )
    if not result.proposed:
        console.print("nothing is faster than the defaults, beyond noise: they stay")
        _print_kept(console, result, folder)
        return
    console.print("[bold]better than the defaults, for edgeassist.toml:[/]")
    for line in as_toml(result.proposed):
        console.print(f"  {escape(line)}")
    for line in kv_words(result.proposed):
        console.print(line)
    _print_kept(console, result, folder)


def _print_kept(console: Console, result: Result, folder: Path) -> None:
    path = folder / NAME
    if not may_keep(folder):
        console.print(f"[yellow]{escape(str(path))} can't be written by this user: nothing is kept[/]")
        return
    if result.applied == result.proposed:
        state = "the daemon takes them at its next start" if result.applied else "no setting is taken from it"
    elif result.applied:
        taken = escape(", ".join(f"{key} = {value}" for key, value in result.applied.items()))
        state = f"the daemon takes from it, at its next start: {taken}"
    else:
        state = "--apply has the daemon take them"
    console.print(f"figures: {escape(str(path))}; {state}")


def _table(outcome: Outcome, result: Result) -> Table:
    title = f"{escape(result.model)}; medians; ± is noise, in percent"
    table = Table("", "option", title=title, title_justify="left")
    for head in ("rounds", "prefill, tokens/s", "decode, tokens/s", "memory, MB", "start, s"):
        table.add_column(head, justify="right")
    table.add_column("against the default")
    rows = iter(result.rows)
    for tried in outcome.tried:
        table.add_section()
        for option in tried.stage.options:
            row = next(rows)
            better = any(each.value == option.value for each in tried.proposals)
            table.add_row(
                row.stage,
                escape(row.option),
                str(row.rounds),
                _number(row.prefill_rate),
                _number(row.decode_rate),
                _number(None if row.memory_bytes is None else row.memory_bytes / 1e6),
                _number(row.start_s),
                escape(verdict_of(tried, option)),
                style="bold" if better else "",
            )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def _to_json(result: Result, outcome: Outcome) -> str:
    document = {
        **msgspec.to_builtins(result),
        "interrupted": outcome.interrupted,
        "remarks": [*outcome.remarks, *remarks_of(outcome.tried)],
        "made": [str(path) for path in outcome.quantized],
    }
    return json.dumps(document, indent=2)
