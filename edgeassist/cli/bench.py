"""`edgeassist bench`: how fast clients get answers, compared with others on the same machine."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeassist.cli.compare import DEFAULT, compare_side_by_side
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
from edgeassist.cli.quality import asked_tasks, measure_quality
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.errors import ConfigurationError, ExitStatus

if TYPE_CHECKING:
    from edgeassist.bench.plan import Plan
    from edgeassist.bench.run import Result

SHAPE = "qwen2.5-0.5b"
# Output width when not a terminal, so that tables don't wrap.
FILE_WIDTH = 200


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="With --compare: GGUF files, folders of ONNX Runtime GenAI, builtin:tiny, or SHAPE:QUANT "
            "for random weights.",
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Put models side by side: load, first token, rate, processors, memory, size."
        ),
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(
            help="A GGUF file or a folder of ONNX Runtime GenAI; without one, random weights of a known "
            "shape.",
            show_default=False,
        ),
    ] = None,
    synthetic: Annotated[str, typer.Option(help="The shape of the random weights.")] = SHAPE,
    quant: Annotated[str, typer.Option(help="Their quantizations, separated by commas.")] = "q4_0",
    scenario: Annotated[
        str,
        typer.Option(
            help="Scenarios, separated by commas: **single** (one client), **fan-in** (four new clients "
            "share a system prompt), **interference** (a long prompt arrives while three streams run), "
            "**session** (second turn), **restart** (first prompt after a restart), **cancel** (how soon the "
            "next prompt starts), **contention** (one client, beside a busy program), **bound** (JSON by a "
            "schema), **call** (a tool call), **decide** (eight questions about a state); or **all**."
        ),
    ] = "single",
    peer: Annotated[
        str | None,
        typer.Option(
            metavar="llama-server=PATH|checkout=FOLDER|fixed-threads",
            help="Compare with this program, with the daemon of another checkout, or with a daemon whose "
            "threads never adapt: they take turns with the device, and ratios are printed.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        bool | None,
        typer.Option(
            "--baseline/--no-baseline",
            help="Compare with a bare loop over llama.cpp in single.  [default: unless there is a peer]",
            show_default=False,
        ),
    ] = None,
    prompt_tokens: Annotated[
        int, typer.Option(min=32, max=100_000, help="Prompt tokens in single, approximately.")
    ] = 512,
    max_tokens: Annotated[
        int, typer.Option(min=2, max=100_000, help="The most answer tokens in single.")
    ] = 256,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each scenario on each side.")] = 5,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads of each side. By default as many as the daemon would choose; the daemon may then "
            "use fewer, as it ships.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            min=64,
            help="Context of each of the four slots, on every side, in tokens; by default the daemon's.",
            show_default=False,
        ),
    ] = None,
    idle_s: Annotated[
        float, typer.Option(min=0, help="Also measure CPU use while idle, for this many seconds.")
    ] = 0,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the figures into this PNG file.", show_default=False, dir_okay=False),
    ] = None,
    quality: Annotated[
        bool,
        typer.Option(
            "--quality",
            help="Ask tasks with known answers (everyday, wishes, code, riddles; English and Chinese), and "
            "count the right ones: with --compare, beside the other figures; else instead of scenarios, of "
            "the model that --model names.",
        ),
    ] = False,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="With --quality: your own tasks, one JSON object a line.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --quality: ask no more than so many of the tasks, of each kind in turn.",
            show_default=False,
        ),
    ] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="With --compare or --quality: print the table as Markdown.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures and their raw values as JSON.")
    ] = False,
) -> None:
    """Measure what clients see: tokens per second, time to the first token, gaps in running streams.

    The daemon answers prompts over MQTT, with a private broker. Another program takes turns with it, doing
    the same work with the same file and threads: a bare loop over llama.cpp, which shows the cost of
    everything around the model, or a llama-server, which shows the alternative. Ratios are taken run by
    run, and runs that other programs disturbed are repeated. Scenarios: docs/performance.md.

    `edgeassist bench --compare qwen2.5-0.5b:q4_k_m phi-3-mini:int4` starts, asks and stops each model in
    turns, on either backend.

    Needs mosquitto, and memory for the model on each side; close other programs.
    """
    if models and not compare:
        raise ConfigurationError(f"{models[0]}: models are named with --compare, or one with --model")
    if not quality and (tasks is not None or limit is not None):
        raise ConfigurationError("--tasks and --limit go with --quality")
    if picture is not None:
        need("matplotlib", "matplotlib, which --picture needs,", "bench")
    # numpy comes with the extras `llama` and `onnx`; no other command should need it.
    from edgeassist.bench.plan import PeerKind, Plan, parse_peer, parse_scenarios  # noqa: PLC0415

    chosen_peer = None if peer is None else parse_peer(peer, is_program=_is_program)
    if chosen_peer is not None and chosen_peer.kind is PeerKind.LLAMA_SERVER:
        need("httpx", "httpx, which this peer needs,", "bench")
    choice = choose_threads(read_cpu_snapshot(), threads)
    plan = Plan(
        scenarios=parse_scenarios(scenario),
        prompt_tokens=prompt_tokens,
        max_tokens=max_tokens,
        runs=runs,
        threads=choice.threads,
        governed=threads is None,
        idle_s=idle_s,
        peer=chosen_peer,
        baseline=peer is None if baseline is None else baseline,
        slot_tokens=context,
    )
    shown = Shown(picture=picture, as_json=as_json, as_markdown=as_markdown)
    asked = asked_tasks(tasks, limit) if quality else ()
    if compare:
        compare_side_by_side(models or DEFAULT, plan, asked, shown)
        return
    if quality:
        measure_quality(model, plan, asked, shown)
        return
    with progress() as (begin, count):
        paths = _models(model, synthetic, quant, choice.threads, begin)
        count(plan.steps * len(paths))
        results = _measure_all(paths, plan, begin)
    if as_json:
        print(to_json(results, plan))
    else:
        _print(results, plan, choice.reason)
    if picture is not None:
        from edgeassist.bench.picture import draw  # noqa: PLC0415 - needs matplotlib, of an extra

        draw(results, plan, picture)
    if len(results) < len(paths) or any(result.missing for result in results):
        raise typer.Exit(ExitStatus.FAILURE)


def _measure_all(paths: list[Path], plan: Plan, begin: Begin) -> list[Result]:
    """Measure one model after another, until all are or somebody interrupts.

    Raises:
        KeyboardInterrupt: There is no figure yet.
    """
    from edgeassist.bench.run import measure  # noqa: PLC0415 - as above

    results: list[Result] = []
    for number, path in enumerate(paths):

        def step(what: str, done: int, path: Path = path, before: int = number * plan.steps) -> None:
            begin(f"{path.stem}: {what}", before + done)

        try:
            results.append(run_until_signalled(measure(path, plan, step)))
        except KeyboardInterrupt:
            if not results:
                raise
            break
        if results[-1].interrupted:
            break
    return results


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _models(model: Path | None, shape: str, quant: str, threads: int, begin: Begin) -> list[Path]:
    if model is not None:
        return [named_model(model)]
    return random_models(shape, [name.strip().lower() for name in quant.split(",")], threads, begin)


def to_json(results: list[Result], plan: Plan) -> str:
    """Return the plan, the figures and their raw values as JSON, without paths."""
    document = {
        "plan": {
            **dataclasses.asdict(plan),
            "peer": None if plan.peer is None else plan.peer.kind,
            "context": plan.context,
            "batch": plan.batch,
        },
        "results": [dataclasses.asdict(result) for result in results],
    }
    return json.dumps(document, indent=2)


def _print(results: list[Result], plan: Plan, threads_reason: str) -> None:
    from edgeassist.bench.figures import DEVICE  # noqa: PLC0415 - as above
    from edgeassist.bench.table import make_table, notes  # noqa: PLC0415 - as above

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    machine = results[0].machine
    console.print(f"{machine.cpu}; {machine.cores or '?'} cores, {machine.cpus} processors; {threads_reason}")
    console.print(f"[dim]{machine.library}[/]")
    for result in results:
        for side, build in result.builds.items():
            if side != DEVICE:
                console.print(f"[dim]{side}: {build}[/]")
        console.print(make_table(result, plan))
        for line in notes(result):
            console.print(line)
