"""A folder in memory for parsers that take paths."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def folder(name: str) -> Path:
    """Return an empty folder of that name, the same for this process; it goes when the process ends."""
    shared = Path("/dev/shm")  # noqa: S108 - one of its own below it
    made = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-", dir=shared if shared.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
