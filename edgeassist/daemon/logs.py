"""Where the log goes: the journal under systemd, a readable console otherwise."""

from __future__ import annotations

import logging
import sys

from edgeassist.daemon import systemd


def set_up(level: str) -> None:
    """Send all records of EdgeAssist to the right place, from that level on (`debug`, `info`, ...)."""
    logging.basicConfig(handlers=[_handler()], level=logging.WARNING, format="%(message)s", force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Change how much is logged."""
    logging.getLogger("edgeassist").setLevel(level.upper())


def _handler() -> logging.Handler:
    if systemd.under_journal():
        return systemd.JournalHandler()
    if sys.stderr.isatty():
        # A tenth of the start, which a service does without.
        from rich.console import Console  # noqa: PLC0415
        from rich.logging import RichHandler  # noqa: PLC0415

        return RichHandler(
            console=Console(stderr=True), show_path=False, log_time_format="[%X]", rich_tracebacks=True
        )
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    return handler
