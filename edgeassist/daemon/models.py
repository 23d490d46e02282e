"""The command `model`: what models are here, which is served, and how another one comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import JsonValue

from edgeassist.daemon.pulling import Pulling
from edgeassist.daemon.switching import Switching
from edgeassist.gateways.commands import Say
from edgeassist.models.builtin import TINY, is_builtin
from edgeassist.models.library import Entry, Library
from edgeassist.models.selected import DEFAULT, Named
from edgeassist.protocol.commands import ModelArguments


class Models:
    """Carries the command out.

    Args:
        configured: What the settings name.
        library: The models that are here.
        switching: Serves another one.
        pulling: Gets one.
    """

    def __init__(
        self, configured: Named, *, library: Library, switching: Switching, pulling: Pulling
    ) -> None:
        self._configured = configured
        self._library = library
        self._switching = switching
        self._pulling = pulling

    async def handle(self, arguments: ModelArguments, say: Say) -> dict[str, JsonValue]:
        """Return the answer's data.

        Raises:
            EdgeAssistError: There is no such model, it can't be had or loaded, or another one is on its way.
        """
        match arguments.action:
            case "use":
                return await self._switching.use(await self._find(arguments.model or ""), say)
            case "pull":
                return _described(await self._pulling.pull(arguments.model or "", say))
            case "cancel":
                return {"cancelled": self._pulling.cancel()}
            case "list":
                return await self._list()

    async def _find(self, name: str) -> Named | None:
        if name == DEFAULT:
            return None
        if is_builtin(Path(name)):
            return Named(Path(name))
        if name == str(self._configured.path):
            return self._configured
        return Named((await asyncio.to_thread(self._library.find, name)).path)

    async def _list(self) -> dict[str, JsonValue]:
        served = self._switching.selected.named.path
        entries = await asyncio.to_thread(self._library.entries)
        names = {entry.path: entry.name for entry in entries}
        return {
            "in_use": names.get(served, str(served)),
            "default": names.get(self._configured.path, str(self._configured.path)),
            "switching_to": self._switching.target,
            "pulling": self._pulling.under_way,
            "models": [{"name": str(TINY), "backend": "auto"}, *map(_described, entries)],
        }


def _described(entry: Entry) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {
        "name": entry.name,
        "backend": entry.backend,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256,
        "source": entry.source,
    }
    return {key: value for key, value in told.items() if value is not None}
