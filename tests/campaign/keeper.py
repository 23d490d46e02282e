"""A daemon, and whoever starts it again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from edgeassist.sandbox import PrivateDaemon

# How soon the daemon is started again; systemd takes two seconds.
RESTART_S = 0.1


class Keeper:
    """A daemon, started again whenever it ends, as systemd does.

    Args:
        name: The device's.
        folder: For its log and state.
        environ: Its other settings.
        prefix: What its command line begins with.

    Attributes:
        starts: How often it was started.
        unasked: How it ended without being killed by us.
    """

    def __init__(
        self, name: str, folder: Path, environ: Mapping[str, str], prefix: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.state = folder / "state"
        self.daemon = PrivateDaemon(folder, {**environ, "EDGEASSIST_DEVICE__NAME": name}, prefix=prefix)
        self.starts = 0
        self.unasked: list[str] = []
        self._killed = False
        self._away_s = RESTART_S
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it, and look after it."""
        self._launch()
        self._task = asyncio.create_task(self._keep(), name="keeper")

    async def stop(self) -> int | None:
        """End it as systemd does; return its exit status."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        return await asyncio.to_thread(self.daemon.stop)

    def kill(self, away_s: float = RESTART_S) -> None:
        """Kill it; it is started again after some time."""
        self._killed, self._away_s = True, away_s
        os.kill(self.daemon.pid, signal.SIGKILL)

    async def back(self) -> None:
        """Wait until one that was killed has been started again."""
        while self._killed:
            await asyncio.sleep(0.03)

    @property
    def process(self) -> psutil.Process:
        """The daemon."""
        return psutil.Process(self.daemon.pid)

    def engine(self) -> psutil.Process | None:
        """Return the engine; None while there is none."""
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            for child in self.process.children():
                if "edgeassist.engine" in child.cmdline():
                    return child
        return None

    def _launch(self) -> None:
        self.starts += 1
        self._killed, self._away_s = False, RESTART_S
        self.daemon.start()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(0.03)
            status = self.daemon.poll()
            if status is not None:
                if not self._killed:
                    self.unasked.append(f"{self.name}: start {self.starts} ended with status {status}")
                await asyncio.sleep(self._away_s)
                self._launch()
