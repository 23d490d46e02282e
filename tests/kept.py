"""What tests need from outside and this project does not: got once, pinned, and kept in the user's cache."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

GET_S = 300


def kept(folder: Path, get: Callable[[Path], None]) -> Path:
    """Return the folder, which `get` fills, whole or not at all; skip where it can't."""
    got = _kept(folder, get)
    if isinstance(got, str):
        pytest.skip(got)
    return got


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a command that may take its time."""
    subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=GET_S, check=True)


@cache
def _kept(folder: Path, get: Callable[[Path], None]) -> Path | str:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            part = Path(scratch) / folder.name
            part.mkdir()
            try:
                get(part)
            except (OSError, subprocess.SubprocessError) as error:
                said = str(getattr(error, "stderr", None) or error).strip()
                return f"{folder.name} can't be had here: {said[-300:]}"
            part.rename(folder)
    return folder
