"""What is made while nobody waits, because it was needed here before."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edgeassist.engine.backends.base import Compiler

NAME = "bounds-asked-for"


class Foresight:
    """Knows whether bounded answers are asked for here: what these need takes memory, and a moment to make.

    Args:
        folder: Keeps it over restarts; None: they are always expected.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._expected = folder is None or (folder / NAME).exists()

    def rest(self, compiler: Compiler) -> None:
        """Have made what bounds need where they are expected, or note that they were asked for."""
        if not self._expected and self._folder is not None and compiler.made:
            with contextlib.suppress(OSError):  # a full disk: the first one after the next start waits again
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                (self._folder / NAME).touch()
            self._expected = True
        if self._expected:
            compiler.begin()
