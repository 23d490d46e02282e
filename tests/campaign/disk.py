"""A small file system for the state folder."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

SIZE_MB = 8


def why_not() -> str | None:
    """Return why there can be none here; None if there can."""
    return None if os.geteuid() == 0 else "a file system of its own needs root"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a tmpfs of SIZE_MB there.

    Raises:
        PermissionError: This process may not.
    """
    if reason := why_not():
        raise PermissionError(reason)
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "campaign", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        # Lazily: a process that hangs would keep it busy.
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
