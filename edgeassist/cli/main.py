"""The command `edgeassist` and its subcommands."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgeassist import ENV_FILE, __version__
from edgeassist.errors import EdgeAssistError, ExitStatus

# Each command's module, and its function or its own commands, in the order of the help.
_COMMANDS = {
    "run": ("run", "run"),
    "ask": ("ask", "ask"),
    "decide": ("decide", "decide"),
    "status": ("status", "status"),
    "requests": ("requests", "requests"),
    "top": ("top", "top"),
    "fleet": ("fleet", "fleet"),
    "check-config": ("check", "check_config"),
    "doctor": ("doctor", "doctor"),
    "demo": ("demo", "demo"),
    "console": ("console", "console"),
    "bench": ("bench", "bench"),
    "tune": ("tune", "tune"),
    "recommend": ("recommend", "recommend_model"),
    "models": ("models", "app"),
}


class _LazyGroup(TyperGroup):
    """Imports a command's module when that command is asked for: the daemon has no use for the others."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, for the help."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name; None where there is none."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        name, function = _COMMANDS[cmd_name]
        module = import_module(f"edgeassist.cli.{name}")
        if not gc.isenabled():  # see `__main__`
            gc.freeze()
            gc.enable()
        command = getattr(module, function)
        if isinstance(command, typer.Typer):
            return typer.main.get_command(command)
        alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        alone.command(name=cmd_name)(command)
        return typer.main.get_command(alone)


app = typer.Typer(
    name="edgeassist",
    cls=_LazyGroup,
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


def main() -> None:
    """Run the command line; print an `EdgeAssistError`'s message and exit with its status."""
    try:
        app()
    except EdgeAssistError as error:
        # A twentieth of a second, which most commands do without.
        from rich.markup import escape  # noqa: PLC0415

        from edgeassist.cli.consoles import Console  # noqa: PLC0415

        Console(stderr=True, highlight=False).print(
            f"[red]edgeassist:[/] {escape(error.message)}", soft_wrap=True
        )
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.FAILURE)
