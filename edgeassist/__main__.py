"""The command `edgeassist`, and `python -m edgeassist`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback while its modules are still being imported."""
    # Where a shell has it ignored, it stays so.
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What modules make stays: looking through it for garbage is a tenth of the start. On again in `cli.main`.
    gc.disable()
    # pydantic would look through all distributions for plugins of it, and none is wanted.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if _is_daemon(sys.argv[1:]):
        # An engine has as much to import as a daemon, and the model to load.
        import_module("edgeassist.first_engine").begin()
    run = import_module("edgeassist.cli.main").main
    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _is_daemon(arguments: list[str]) -> bool:
    """Whether that is the daemon's command line; one that is not seen as such only starts later."""
    if arguments[:1] == ["--config"]:
        return arguments[2:] == ["run"]
    return arguments == ["run"]


if __name__ == "__main__":
    main()
