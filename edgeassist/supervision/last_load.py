"""What the last engine was told: the next start begins with it, while the settings are still being read.

Whoever goes by it compares it with what the settings say then. Imports little.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from msgspec.structs import replace

from edgeassist.device.memory import available_memory_bytes, total_memory_bytes
from edgeassist.engine.messages import Load, decode_command, encode

NAME = "last-load.json"
# A configured system prompt is in it.
_MOST_BYTES = 1 << 20


def recall(folder: Path) -> Load | None:
    """Return what was kept there, with the memory that is free now; None: nothing, or it is damaged."""
    try:
        with (folder / NAME).open("rb") as file:
            command = decode_command(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(command, Load):
        return None
    return replace(
        command,
        memory_bytes=available_memory_bytes() or 0,
        total_memory_bytes=total_memory_bytes() or 0,
    )


def keep(folder: Path, load: Load) -> None:
    """Keep it for the next start; not where that can't be had."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{NAME}-", dir=folder)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(encode(load))
            Path(name).replace(folder / NAME)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
