"""A machine on which nothing was compiled yet, and so without the package `systemd`."""

from __future__ import annotations

import os
import subprocess
import sys

WITHOUT = """
import logging, sys
sys.modules["systemd"] = None
logging.basicConfig(format="%(message)s")
from edgeassist.daemon import app, systemd
"""


def run(program: str, **environ: str) -> str:
    """Return what a program says that finds no package `systemd`."""
    command = [sys.executable, "-c", WITHOUT + program]
    ended = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=True)
    return ended.stdout + ended.stderr


def test_the_daemon_needs_no_systemd_where_systemd_has_not_started_it() -> None:
    assert run("systemd.notify(READY='1'); print(systemd.under_journal())") == "False\n"


def test_a_service_that_can_not_tell_systemd_says_once_what_to_install() -> None:
    said = run("systemd.notify(READY='1'); systemd.notify(WATCHDOG='1')", NOTIFY_SOCKET="/run/none")
    assert said.count("pip install systemd-python") == 1
    assert len(said.splitlines()) == 1


def test_what_can_not_go_to_the_journal_goes_to_standard_error() -> None:
    program = """
import os
there = os.fstat(2)
print(systemd.under_journal({"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}))
"""
    assert run(program) == "False\n"
