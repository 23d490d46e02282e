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

from edgeassist.sandbox import PrivateBroker
from tests.campaign.keeper import Keeper
from tests.campaign.packets import Packets
from tests.campaign.relay import Relay

# Where the broker has its sessions, if it has them on disk.
SESSIONS = "mosquitto.db"
_PROBLEM = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL)\b|^Traceback|^Fatal Python error")


class Stage:
    """All processes of a campaign.

    Args:
        folder: The campaign's own.
        broker: Started already.
        boxes: One, or a fleet.

    Attributes:
        box: The first of them.
        daemon_relay: Between the daemon and the broker, where a fault needs it; `clients_relay` likewise.
        packets: The daemon's own network, likewise.
    """

    def __init__(self, folder: Path, broker: PrivateBroker, boxes: Sequence[Keeper]) -> None:
        self.folder = folder
        self.broker = broker
        self.boxes = boxes
        self.box = boxes[0]
        self.daemon_relay: Relay | None = None
        self.clients_relay: Relay | None = None
        self.packets: Packets | None = None

    async def restart_broker(self, after_s: float, *, forgets: bool = True) -> None:
        """Kill the broker, and start it again later, with or without what it may have on disk."""
        await asyncio.to_thread(self.broker.stop, signal.SIGKILL)
        if forgets:
            (self.folder / SESSIONS).unlink(missing_ok=True)
        await asyncio.sleep(after_s)
        await asyncio.to_thread(self.broker.start)

    def problems(self, expected: Sequence[str]) -> list[str]:
        """Return the lines of the daemons' logs at ERROR and above that nobody expects.

        Args:
            expected: Regular expressions of what the faults cause.
        """
        lines = [
            line for box in self.boxes for line in box.daemon.log.read_text(errors="replace").splitlines()
        ]
        known = [re.compile(each) for each in expected]
        return [
            line for line in lines if _PROBLEM.match(line) and not any(each.search(line) for each in known)
        ]

    def leftovers(self) -> list[str]:
        """Return what is there and should not be, once all has stopped: processes, and unfinished files."""
        found = [f"process {each.pid}: {' '.join(each.cmdline())}" for each in _processes_of(self.folder)]
        unfinished = {".tmp", ".part", ".new", ".partial"}
        files = sorted(
            path for box in self.boxes for path in box.state.rglob("*") if path.suffix in unfinished
        )
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
