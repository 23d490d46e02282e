"""`edgeassist run`: the daemon; the only command that imports it."""

from __future__ import annotations

import logging
import signal

import typer

from edgeassist.daemon import logs
from edgeassist.daemon.app import serve
from edgeassist.tuning.source import load_with_tuned

log = logging.getLogger(__name__)


def run(context: typer.Context) -> None:
    """Run the daemon: load the model, connect to the broker, answer prompts until SIGTERM or Ctrl-C.

    systemd runs this. By hand, the log goes to the terminal. Exit status 78 means that a setting has to be
    mended first; anything else but 0 is worth another start.
    """
    # Until the daemon takes SIGHUP for a reload, it asks for what is about to be done anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    loaded = load_with_tuned(context.obj)
    logs.set_up(loaded.settings.daemon.log_level.value)
    if loaded.remark is not None:
        log.info("%s", loaded.remark)
    raise typer.Exit(serve(loaded, lambda: load_with_tuned(context.obj)))
