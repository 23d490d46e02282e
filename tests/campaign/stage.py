"""What faults are done to: a broker, a daemon that is started again when it ends, what lies between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil

from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import PrivateBroker, PrivateDaemon
from tests.campaign.packets import Packets
from tests.campaign.relay import Relay

TOPICS = Topics("edgeassist", "box")
# How soon the daemon is started again; systemd takes two seconds.
RESTART_S = 0.1
_PROBLEM = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL)\b|^Traceback|^Fatal Python error")


class Keeper:
    """A daemon, started again whenever it ends, as systemd does.

    Attributes:
        starts: How often it was started.
        unasked: How it ended without being killed by us.
    """

    def __init__(self, daemon: PrivateDaemon) -> None:
        self.daemon = daemon
        self.starts = 0
        self.unasked: list[str] = []
        self._killed = False
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

    def kill(self) -> None:
        """Kill it; it is started again."""
        self._killed = True
        os.kill(self.daemon.pid, signal.SIGKILL)

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
        self._killed = False
        self.daemon.start()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(0.03)
            status = self.daemon.poll()
            if status is not None:
                if not self._killed:
                    self.unasked.append(f"start {self.starts} ended with status {status}")
                await asyncio.sleep(RESTART_S)
                self._launch()


class Stage:
    """All processes of a campaign.

    Args:
        folder: For settings, logs and state; all of it is the campaign's own.
        broker: Started already.
        environ: The daemon's settings.
        prefix: What its command line begins with.

    Attributes:
        daemon_relay: Between the daemon and the broker, where a fault needs it; `clients_relay` likewise.
        packets: The daemon's own network, likewise.
    """

    def __init__(
        self,
        folder: Path,
        broker: PrivateBroker,
        environ: dict[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.box = Keeper(PrivateDaemon(folder, environ, prefix=prefix))
        self.state = folder / "state"
        self.daemon_relay: Relay | None = None
        self.clients_relay: Relay | None = None
        self.packets: Packets | None = None

    @property
    def log(self) -> Path:
        """The daemon's."""
        return self.box.daemon.log

    async def restart_broker(self, after_s: float) -> None:
        """Kill the broker, and start it again later."""
        await asyncio.to_thread(self.broker.stop, signal.SIGKILL)
        await asyncio.sleep(after_s)
        await asyncio.to_thread(self.broker.start)

    def problems(self, expected: Sequence[str]) -> list[str]:
        """Return the lines of the daemon's log at ERROR and above that nobody expects.

        Args:
            expected: Regular expressions of what the faults cause.
        """
        lines = self.log.read_text(errors="replace").splitlines()
        known = [re.compile(each) for each in expected]
        return [
            line for line in lines if _PROBLEM.match(line) and not any(each.search(line) for each in known)
        ]

    def leftovers(self) -> list[str]:
        """Return what is there and should not be, once all has stopped: processes, and unfinished files."""
        found = [f"process {each.pid}: {' '.join(each.cmdline())}" for each in _processes_of(self.folder)]
        unfinished = {".tmp", ".part", ".new", ".partial"}
        files = sorted(path for path in self.state.rglob("*") if path.suffix in unfinished)
        return found + [f"file {path.relative_to(self.folder)}" for path in files]


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Return all processes that were started with this folder, but for this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(f"{folder}/" in word for word in words):
                found.append(process)
    return found
