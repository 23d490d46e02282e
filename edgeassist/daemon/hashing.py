"""Has `info` tell the SHA-256 of each model once it is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from edgeassist.daemon.condition import Condition

_HASH_AFTER_S = 2.0


class Hashing:
    """Reads a model's file when it has been loaded for a moment.

    Args:
        condition: Keeps the hash.
        path: Returns the file of the model that is served.
        on_known: Called when the hash is known.
    """

    def __init__(
        self, condition: Condition, path: Callable[[], Path | None], *, on_known: Callable[[], None]
    ) -> None:
        self._condition = condition
        self._path = path
        self._on_known = on_known
        self._another = asyncio.Event()

    def loaded(self) -> None:
        """Note that an engine has loaded a model."""
        self._another.set()

    async def run(self) -> None:
        """Look after it, for ever."""
        while True:
            await self._another.wait()
            self._another.clear()
            if self._condition.sha256 is not None:  # the same model, in another engine
                continue
            # It takes a core for as long as reading the file does: not while the first requests come.
            await asyncio.sleep(_HASH_AFTER_S)
            path = self._path()
            digest = await self._condition.hash_model(path)
            if path == self._path():  # that takes seconds, and models change meanwhile
                self._condition.sha256 = digest
                self._on_known()
