"""A real daemon at a real Mosquitto under light load: what it holds, at the beginning and at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression

import psutil

from edgeassist.client import AsyncClient
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon
from tests.patience import PATIENCE_S

_HOUR_S = 3600.0
# What is kept grows into its bounds first: replays, conversations, prefixes.
WARM_REQUESTS = 400


@dataclass(frozen=True, slots=True)
class Sample:
    """Daemon and engine at one moment.

    Attributes:
        at: Seconds of the run.
        memory: Of each, resident, in bytes, by name; likewise the next ones.
        descriptors: Open ones.
        threads: Running ones.
        wakeups: How often it went to sleep and was woken, since its start.
        cpu_s: Processor time since its start.
        files: In the state folder.
        file_bytes: Of them.
        asked: Requests that have ended so far.
    """

    at: float
    memory: dict[str, int]
    descriptors: dict[str, int]
    threads: dict[str, int]
    wakeups: dict[str, int]
    cpu_s: dict[str, float]
    files: int
    file_bytes: int
    asked: int


@dataclass
class Record:
    """A run.

    Attributes:
        samples: The first is of when it was warm.
        failed: What did not end as it should.
    """

    samples: list[Sample] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def growth(self, values: Sequence[float]) -> float:
        """Return by how much the values of the samples grow in an hour."""
        times = [each.at for each in self.samples]
        return linear_regression(times, values).slope * _HOUR_S

    def table(self) -> str:
        """Return all of it for a person."""
        first, last = self.samples[0], self.samples[-1]
        hours = (last.at - first.at) / _HOUR_S
        rows = [f"{'':24} {'warm':>12} {'end':>12} {'an hour':>12}"]

        def row(name: str, values: Sequence[float]) -> None:
            rows.append(f"{name:24} {values[0]:>12,.0f} {values[-1]:>12,.0f} {self.growth(values):>+12,.0f}")

        for name in first.memory:
            row(f"{name} memory, kB", [each.memory[name] / 1000 for each in self.samples])
            row(f"{name} descriptors", [each.descriptors[name] for each in self.samples])
            row(f"{name} threads", [each.threads[name] for each in self.samples])
            woken = (last.wakeups[name] - first.wakeups[name]) / hours
            used = (last.cpu_s[name] - first.cpu_s[name]) / hours
            rows.append(f"{name} wake-ups {woken:,.0f} an hour, processor {used:,.1f} s an hour")
        row("files", [each.files for each in self.samples])
        row("file bytes", [each.file_bytes for each in self.samples])
        rows.append(
            f"{last.asked - first.asked} requests in {last.at - first.at:.0f} s, failed: {len(self.failed)}"
        )
        return "\n".join(rows)


async def soak(
    folder: Path, *, seconds: float, pause_s: float, every_s: float, warm: int = WARM_REQUESTS
) -> Record:
    """Run broker, daemon and a client, and look at the daemon now and then.

    Args:
        folder: Empty.
        seconds: How long, once it is warm.
        pause_s: Between two requests.
        every_s: Between two looks.
        warm: So many requests go before the first.
    """
    record = Record()
    with PrivateBroker(folder) as broker:
        environ = {
            "EDGEASSIST_DEVICE__NAME": "box",
            "EDGEASSIST_MQTT__HOST": HOST,
            "EDGEASSIST_MQTT__PORT": str(broker.port),
            "EDGEASSIST_MODEL__BACKEND": "scripted",
            "EDGEASSIST_ENGINE__STATE_FOLDER": str(folder / "kv"),
        }
        with PrivateDaemon(folder, environ) as daemon:
            made = AsyncClient(HOST, broker.port, device="box", name="soak", connect_s=PATIENCE_S)
            async with made as client:
                await client.wait_ready(PATIENCE_S)
                asked = 0
                while asked < warm:
                    await _ask(client, asked, record)
                    asked += 1
                begun = next_look = time.monotonic()
                while (now := time.monotonic()) - begun < seconds:
                    if now >= next_look:
                        next_look = now + every_s
                        record.samples.append(_look(daemon.pid, folder, now - begun, asked))
                    await _ask(client, asked, record)
                    asked += 1
                    await asyncio.sleep(pause_s)
                record.samples.append(_look(daemon.pid, folder, time.monotonic() - begun, asked))
    return record


async def _ask(client: AsyncClient, number: int, record: Record) -> None:
    """Ask something, of a kind that changes with the number."""
    words = f"Tell me about number {number}."
    match number % 4:
        case 0 | 1:
            said = (await client.ask(words)).text
        case 2:
            said = (await client.ask(words, session=f"s{number % 50}")).text
        case _:
            async with client.stream(words) as stream:
                said = "".join([part async for part in stream])
    if said != words:
        record.failed.append(f"{words!r} was answered by {said!r}")


def _look(pid: int, folder: Path, at: float, asked: int) -> Sample:
    daemon = psutil.Process(pid)
    (engine,) = [child for child in daemon.children() if "edgeassist.engine" in child.cmdline()]
    processes = {"daemon": daemon, "engine": engine}
    files = _files(folder)
    return Sample(
        at,
        {name: each.memory_info().rss for name, each in processes.items()},
        {name: each.num_fds() for name, each in processes.items()},
        {name: each.num_threads() for name, each in processes.items()},
        {name: each.num_ctx_switches().voluntary for name, each in processes.items()},
        {name: sum(each.cpu_times()[:2]) for name, each in processes.items()},
        len(files),
        sum(files),
        asked,
    )


def _files(folder: Path) -> Sequence[int]:
    """Return the sizes of what the daemon keeps."""
    return [
        path.stat().st_size
        for name in ("kv", "state")
        for path in (folder / name).rglob("*")
        if path.is_file()
    ]
