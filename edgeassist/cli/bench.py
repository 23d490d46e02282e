"""`edgeassist bench`: how fast clients get their answers, against others on the same machine."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edgeassist.cli.compare import DEFAULT, compare_side_by_side
from edgeassist.cli.instrument import Begin, named_model, need, progress, random_models
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.errors import ConfigurationError

if TYPE_CHECKING:
    from edgeassist.bench.plan import Plan
    from edgeassist.bench.run import Result

SHAPE = "qwen2.5-0.5b"
# Where the output is no terminal, nothing is wrapped.
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
            help="What happens, separated by commas: **single** (one client), **fan-in** (four new clients "
            "share a system prompt), **interference** (a long prompt arrives while three streams run), "
            "**session** (second turn), **restart** (first prompt after it), **cancel** (how soon the next "
            "prompt gets going), **contention** (one client, beside a busy program); or **all**."
        ),
    ] = "single",
    peer: Annotated[
        str | None,
        typer.Option(
            metavar="llama-server=PATH|fixed-threads",
            help="Let this program, or a second daemon whose threads never adapt, do the same work in turns "
            "with the device, and print ratios.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        bool | None,
        typer.Option(
            "--baseline/--no-baseline",
            help="A bare loop over llama.cpp takes part in single.  [default: unless there is a peer]",
            show_default=False,
        ),
    ] = None,
    prompt_tokens: Annotated[
        int, typer.Option(min=32, max=100_000, help="About so many tokens in, in single.")
    ] = 512,
    max_tokens: Annotated[
        int, typer.Option(min=2, max=100_000, help="At most so many tokens out, in single.")
    ] = 256,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each scenario on each side.")] = 5,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of every side. Without it, as many as the device gives; the daemon may then use fewer, as "
            "it ships.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            min=64,
            help="Tokens that each of the four slots has room for, on every side; without it, as the daemon "
            "ships.",
            show_default=False,
        ),
    ] = None,
    idle_s: Annotated[
        float, typer.Option(min=0, help="Measure for so many seconds what doing nothing costs.")
    ] = 0,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the figures into this PNG file.", show_default=False, dir_okay=False),
    ] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="With --compare: print the table as Markdown.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures, and all that they come from, as JSON.")
    ] = False,
) -> None:
    """Measure what clients see: tokens a second, time to the first token, gaps in running streams.

    A private broker and the daemon answer prompts over MQTT. In turns with them, others do the same work with
    the same file and threads: a bare loop over llama.cpp, which tells what the way over MQTT leaves of the
    speed; or a llama-server, which tells what to use instead. Ratios are taken run by run, and runs that
    other programs disturbed are measured again. What the scenarios are: docs/performance.md.

    `edgeassist bench --compare qwen2.5-0.5b:q4_k_m phi-3-mini:int4` starts, asks and stops each model in
    turns, whatever backend serves it.

    Needs the program mosquitto and memory for the model on each side; close other programs.
    """
    if models and not compare:
        raise ConfigurationError(f"{models[0]}: models are named with --compare, or one with --model")
    if picture is not None:
        need("matplotlib", "matplotlib, which --picture needs,", "bench")
    # numpy comes with the extras `llama` and `onnx`; no other command should need it.
    from edgeassist.bench.plan import PeerKind, Plan, parse_peer, parse_scenarios  # noqa: PLC0415
    from edgeassist.bench.run import measure  # noqa: PLC0415

    rival = None if peer is None else parse_peer(peer, is_program=_is_program)
    if rival is not None and rival.kind is PeerKind.LLAMA_SERVER:
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
        peer=rival,
        baseline=peer is None if baseline is None else baseline,
        slot_tokens=context,
    )
    if compare:
        compare_side_by_side(
            models or DEFAULT, plan, picture=picture, as_json=as_json, as_markdown=as_markdown
        )
        return
    # All that is started has a session of its own: nobody else ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = []
    with progress() as (begin, count):
        paths = _models(model, synthetic, quant, choice.threads, begin)
        count(plan.steps * len(paths))
        for number, path in enumerate(paths):

            def step(what: str, done: int, path: Path = path, before: int = number * plan.steps) -> None:
                begin(f"{path.stem}: {what}", before + done)

            results.append(asyncio.run(measure(path, plan, step)))
    if as_json:
        print(to_json(results, plan))
    else:
        _print(results, plan, choice.reason)
    if picture is not None:
        from edgeassist.bench.picture import draw  # noqa: PLC0415 - needs matplotlib, of an extra

        draw(results, plan, picture)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _models(model: Path | None, shape: str, quant: str, threads: int, begin: Begin) -> list[Path]:
    if model is not None:
        return [named_model(model)]
    return random_models(shape, [name.strip().lower() for name in quant.split(",")], threads, begin)


def to_json(results: list[Result], plan: Plan) -> str:
    """Return the plan, the figures and all that they come from; paths are left out."""
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
