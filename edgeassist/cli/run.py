"""`edgeassist run`: the daemon; the only command that imports it."""

from __future__ import annotations

import signal

import typer

from edgeassist.daemon import logs
from edgeassist.daemon.app import serve
from edgeassist.settings import load_settings


def run(context: typer.Context) -> None:
    """Run the daemon: load the model, connect to the broker, answer prompts until SIGTERM or Ctrl-C.

    systemd runs this. By hand, the log goes to the terminal. Exit status 78 means that a setting has to be
    mended first; anything else but 0 is worth another start.
    """
    # Until the daemon takes SIGHUP for a reload, it asks for what is about to be done anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    loaded = load_settings(context.obj)
    logs.set_up(loaded.settings.daemon.log_level.value)
    raise typer.Exit(serve(loaded, lambda: load_settings(context.obj)))
