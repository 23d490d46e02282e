"""The console as a part of the daemon: its page, while the settings want it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from edgeassist.console.config import PageConfig
from edgeassist.console.server import Server
from edgeassist.console.site import Site
from edgeassist.errors import ConfigurationError
from edgeassist.gateways.gateway import Gateway

log = logging.getLogger(__name__)

# How soon a port is tried again that somebody else has.
AGAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """Whether, on which port, and the broker's WebSocket address (None: the usual one)."""

    on: bool
    port: int
    broker: str | None


class Console(Gateway):
    """Serves the page. A port that is taken ends nothing: it is tried again.

    Args:
        options: A reload replaces them.
        page: Returns what the page is told, by the broker's address in the options.
    """

    def __init__(self, options: ConsoleOptions, page: Callable[[str | None], PageConfig]) -> None:
        self._options = options
        self._page = page
        self._changed = asyncio.Event()

    def apply(self, options: ConsoleOptions) -> None:
        """Go by other options from now on."""
        if options != self._options:
            self._options = options
            self._changed.set()

    async def run(self) -> None:
        """Serve, anew after every change, until the daemon ends."""
        while True:
            self._changed.clear()
            again_s = await self._serve() if self._options.on else None
            try:
                await asyncio.wait_for(self._changed.wait(), again_s)
            except TimeoutError:
                continue

    async def _serve(self) -> float | None:
        """Serve until the options change; return in how many seconds to try again what failed."""
        try:
            site = await asyncio.to_thread(Site, self._page(self._options.broker))
            async with Server(site, self._options.port) as server:
                log.info("the console is at %s", server.url)
                await self._changed.wait()
        except ConfigurationError as error:
            log.warning("no console: %s; trying again every %.0f s", error.message, AGAIN_S)
            return AGAIN_S
        return None
