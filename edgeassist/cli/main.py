"""The command `edgeassist` and its subcommands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgeassist import __version__
from edgeassist.cli import ask, bench, check, demo, doctor, recommend, run, status
from edgeassist.errors import EdgeAssistError, ExitStatus
from edgeassist.settings import ENV_FILE

app = typer.Typer(
    name="edgeassist",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="A language model on this device, served over MQTT.",
    epilog="Try it without installing anything else: `edgeassist demo`.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"edgeassist {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar=ENV_FILE,
            help="The settings. Without it: /etc/edgeassist/edgeassist.toml, if it exists.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    context.obj = config


app.command(name="run")(run.run)
app.command(name="ask")(ask.ask)
app.command(name="status")(status.status)
app.command(name="check-config")(check.check_config)
app.command(name="doctor")(doctor.doctor)
app.command(name="demo")(demo.demo)
app.command(name="bench")(bench.bench)
app.command(name="recommend")(recommend.recommend_model)


def main() -> None:
    """Run the command line; print an `EdgeAssistError`'s message and exit with its status."""
    try:
        app()
    except EdgeAssistError as error:
        Console(stderr=True, highlight=False).print(
            f"[red]edgeassist:[/] {error.message}", markup=True, soft_wrap=True
        )
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.FAILURE)
