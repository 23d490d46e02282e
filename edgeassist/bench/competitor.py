"""Another program that wants a processor for itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# It ends by itself when who started it is gone.
_WORK = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def busy_program() -> Iterator[None]:
    """Let it run beside what is done here."""
    with subprocess.Popen([sys.executable, "-c", _WORK], start_new_session=True) as process:  # noqa: S603
        try:
            yield
        finally:
            process.kill()
