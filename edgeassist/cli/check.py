"""`edgeassist check-config`: what is in force, from where, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from edgeassist.cli.connect import connect
from edgeassist.cli.consoles import Console
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.memory import available_memory_bytes, total_memory_bytes
from edgeassist.errors import BrokerError, EdgeAssistError, ExitStatus
from edgeassist.models.choice import choose_model
from edgeassist.models.files.reading import read_model
from edgeassist.models.files.template import read_template
from edgeassist.models.fit import Memory, fit
from edgeassist.settings import Loaded, Settings
from edgeassist.settings.published import schema_text
from edgeassist.tuning.source import load_with_tuned
from edgeassist.wiring import demand_of, selected_model, template_of


def check_config(
    context: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the broker out.")] = False,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Only print the JSON Schema of the settings, for editors."),
    ] = False,
) -> None:
    """Print every setting and where it comes from, and check model, memory and broker.

    Exit status 0: the daemon can run like this; 78: a setting has to be changed; 69: the broker can't be
    reached, or memory is short at the moment, which the daemon would wait for.
    """
    if schema:
        print(schema_text(), end="")
        return
    loaded = load_with_tuned(context.obj)
    console = Console()
    console.print(_table(loaded))
    if loaded.remark is not None:
        console.print(f"[yellow]{escape(loaded.remark)}[/]", soft_wrap=True, highlight=False)
    worst = ExitStatus.OK
    for problem in _problems(loaded.settings, offline=offline):
        console.print(f"[red]wrong:[/] {escape(problem.message)}", soft_wrap=True, highlight=False)
        worst = max(worst, problem.exit_status)
    if worst is ExitStatus.OK:
        console.print("[green]all is well[/]")
    raise typer.Exit(worst)


def _problems(settings: Settings, *, offline: bool) -> Iterator[EdgeAssistError]:
    selected = selected_model(settings)
    if selected.chosen:
        chosen = f"model: {selected.named.path}, chosen by edgeassist models use"
        Console(soft_wrap=True, highlight=False).print(escape(chosen))
    if selected.note is not None:
        Console(soft_wrap=True, highlight=False).print(f"[yellow]note:[/] {escape(selected.note)}")
    try:
        check_model(settings, Memory(available_memory_bytes(), total_memory_bytes()))
    except EdgeAssistError as error:
        yield error
    threads = settings.engine.threads
    choice = choose_threads(read_cpu_snapshot(), None if threads == "auto" else threads)
    Console().print(f"threads: {choice.reason}", highlight=False)
    if offline:
        return
    try:
        asyncio.run(_check_broker(settings))
    except EdgeAssistError as error:
        yield error


def check_model(settings: Settings, memory: Memory) -> None:
    """Check that the model and template to serve can be loaded with these settings and this memory.

    Raises:
        ModelError: It can't; MemoryShortError where it could if other programs ended.
    """
    selected = selected_model(settings)
    choice = choose_model(selected.named.path, selected.named.backend)
    if choice.path is not None:
        fit(read_model(choice.path, choice.backend), demand_of(settings), memory)
    read_template(str(template_of(settings, selected) or ""))


async def _check_broker(settings: Settings) -> None:
    try:
        async with connect(settings):
            pass
    except BrokerError as error:
        raise BrokerError(f"broker: {error.message}") from None


def _table(loaded: Loaded) -> Table:
    title = f"settings; file: {loaded.file}" if loaded.file else "settings; no file"
    table = Table("setting", "value", "from", title=title, title_justify="left")
    for name, keys in loaded.settings.public().items():
        if not isinstance(keys, Mapping):
            names = ", ".join(each["name"] for each in keys)
            origin = loaded.origins.get(name, "default")
            table.add_row(name, names, origin, style="dim" if origin == "default" else "bold")
            continue
        for key, value in keys.items():
            origin = loaded.origins.get(f"{name}.{key}", "default")
            style = "dim" if origin == "default" else "bold"
            table.add_row(f"{name}.{key}", _shown(value), origin, style=style)
    return table


def _shown(value: Any) -> str:
    return "" if value is None else str(value)
