"""systemd: readiness, watchdog and journal; the only module that imports `systemd`."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Mapping
from functools import cache

try:
    from systemd import daemon, journal
except ImportError:
    # It is published as source only; on a new machine the demo runs before there is a compiler.
    daemon = journal = None

log = logging.getLogger(__name__)

# syslog(3)'s priorities.
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def notify(**assignments: str) -> None:
    """Tell systemd, in sd_notify(3)'s words: `notify(READY="1", STATUS="...")`. Does nothing elsewhere."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    if daemon is None:
        _warn_of_missing_package()
        return
    # A line break in a value would begin another assignment.
    lines = (f"{key}={' '.join(value.splitlines())}" for key, value in assignments.items())
    try:
        daemon.notify("\n".join(lines))
    except OSError as error:  # a missing listener must not end the daemon (sd_notify(3))
        log.warning("systemd can't be told: %s", error)


@cache
def _warn_of_missing_package() -> None:
    log.warning(
        "systemd can't be told that this service is ready, nor fed its watchdog: pip install systemd-python"
    )


def watchdog_interval_s(environ: Mapping[str, str] | None = None) -> float | None:
    """Return how often the watchdog wants to be fed, in seconds: half of its patience. None without one."""
    environ = os.environ if environ is None else environ
    patience = environ.get("WATCHDOG_USEC", "")
    if not patience.isdecimal() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(patience) / 2_000_000


def under_journal(environ: Mapping[str, str] | None = None) -> bool:
    """Whether standard error goes to the journal (systemd.exec(5), `$JOURNAL_STREAM`), where we can write."""
    if journal is None:
        return False
    stream = (os.environ if environ is None else environ).get("JOURNAL_STREAM", "")
    try:
        there = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{there.st_dev}:{there.st_ino}"


class JournalHandler(logging.Handler):
    """Sends records with fields that `journalctl` can filter: `journalctl REQUEST_ID=...`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; one that can't be sent is reported as Python's own handlers do."""
        try:
            self._send(record)
        except Exception:  # noqa: BLE001 - a bad argument of a log call, or text that UTF-8 does not allow
            self.handleError(record)

    def _send(self, record: logging.LogRecord) -> None:
        # systemd-python wants CODE_LINE as a number, and everything else as text.
        fields: dict[str, str | int] = {
            "SYSLOG_IDENTIFIER": "edgeassist",
            "LOGGER": record.name,
            "THREAD_NAME": record.threadName or "",
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName or "",
        }
        request = getattr(record, "request_id", None)
        if request is not None:
            fields["REQUEST_ID"] = request
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + "".join(traceback.format_exception(*record.exc_info))
        level = max((known for known in _PRIORITIES if known <= record.levelno), default=logging.DEBUG)
        journal.send(message, PRIORITY=str(_PRIORITIES[level]), **fields)
