"""The command `edgeassist`, and `python -m edgeassist`."""

from __future__ import annotations

import gc
import signal
from importlib import import_module


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback while its modules are still being imported."""
    # Where a shell has it ignored, it stays so.
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What modules make stays: looking through it for garbage is a tenth of the start. On again in `cli.main`.
    gc.disable()
    run = import_module("edgeassist.cli.main").main
    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
