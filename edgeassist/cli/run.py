"""`edgeassist run`: the daemon; the only command that imports it."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import typer

from edgeassist.first_engine import take

log = logging.getLogger(__name__)


def run(context: typer.Context) -> None:
    """Run the daemon: load the model, connect to the broker, answer prompts until SIGTERM or Ctrl-C.

    systemd runs this. By hand, the log goes to the terminal. Exit status 78 means that a setting has to be
    mended first; anything else but 0 is worth another start.
    """
    # Until the daemon takes SIGHUP for a reload, it asks for what is about to be done anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ExitStack() as stack:
        # An engine has as much to import as we have: it begins before (`__main__`).
        spawned = take()
        if spawned is not None:
            stack.callback(spawned.discard)
        with _importing():
            from edgeassist.daemon import logs  # noqa: PLC0415
            from edgeassist.folders import state_directory  # noqa: PLC0415
            from edgeassist.loads import first_load  # noqa: PLC0415
            from edgeassist.supervision.last_load import keep  # noqa: PLC0415
            from edgeassist.tuning.source import load_with_tuned  # noqa: PLC0415

            loaded = load_with_tuned(context.obj)
            logs.set_up(loaded.settings.daemon.log_level.value)
            if loaded.remark is not None:
                log.info("%s", loaded.remark)
            load = first_load(loaded.settings)
            if spawned is not None and load is not None and not spawned.loads(load):
                keep(state_directory(), load)
                if spawned.told is None:
                    spawned = spawned.load(load)
                else:  # the settings are others than last time: the supervisor starts another
                    spawned.discard()
                    spawned = None
            # Two fifths of a start, while the engine loads.
            from edgeassist.daemon.app import serve  # noqa: PLC0415
        raise typer.Exit(serve(loaded, lambda: load_with_tuned(context.obj), spawned))


@contextmanager
def _importing() -> Iterator[None]:
    """Look for no garbage among what modules make (see `__main__`)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
