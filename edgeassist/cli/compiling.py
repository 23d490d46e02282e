"""llama.cpp, while `scripts/setup.sh --soon` compiles it in the background."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgeassist.models.choice import is_installed


class Stage(Enum):
    """How far llama.cpp is."""

    RUNS = "runs"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Compilation:
    """What the set-up leaves in its folder: a log, and a process id while it compiles.

    Attributes:
        folder: The set-up's.
    """

    folder: Path

    @property
    def log(self) -> Path:
        """What the compilers say, and the reason where they fail."""
        return self.folder / "llama.log"

    def stage(self) -> Stage:
        """How far it is, now."""
        # In this order: it may get ready in between.
        runs = self._runs()
        importlib.invalidate_caches()
        if is_installed("llama"):
            return Stage.READY
        return Stage.RUNS if runs else Stage.FAILED

    def _runs(self) -> bool:
        try:
            pid = int((self.folder / "llama.pid").read_text())
            # Another process may have the id of one that was killed.
            return b"setup.sh" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return False
