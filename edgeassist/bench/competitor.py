"""A CPU-bound program that competes for a processor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Exits when its parent is gone.
_WORK = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def busy_program() -> Iterator[None]:
    """Keep one processor busy within the `with` block."""
    with subprocess.Popen([sys.executable, "-c", _WORK], start_new_session=True) as process:  # noqa: S603
        try:
            yield
        finally:
            process.kill()
