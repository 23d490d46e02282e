"""The engine's threads follow what the device gives, while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgeassist.bench.competitor import busy_program
from edgeassist.client.requester import Requester
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.sandbox import PrivateDaemon
from tests.conftest import AsyncConnect, StartReady, Wire, expect_done

# Of all processors: less than what the governor takes for a busy core.
QUIET_PERCENT = 7
CPUS = sorted(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(len(CPUS) < 2, reason="one processor leaves nothing to choose")


def engine_of(daemon: PrivateDaemon) -> psutil.Process:
    children = psutil.Process(daemon.pid).children()
    return next(child for child in children if "edgeassist.engine" in child.cmdline())


async def health_where(
    wire: Wire, says: Callable[[dict[str, Any]], bool], timeout_s: float = 40.0
) -> dict[str, object]:
    """Wait until a new `health` is as it should be."""
    wire.heard.clear()
    message = await wire.until(lambda message: says(json.loads(message.payload)), timeout_s)
    return dict(json.loads(message.payload))


async def test_an_affinity_that_changes_is_followed(ready: StartReady, connect: AsyncConnect) -> None:
    daemon, client = await ready()
    wire = await connect.wire("edgeassist/box/health")
    engine = engine_of(daemon)
    before = json.loads((await wire.until(lambda _: True)).payload)["threads"]
    for thread in engine.threads():
        os.sched_setaffinity(thread.id, {CPUS[0]})
    health = await health_where(wire, lambda health: health["threads"] == 1)
    assert health["prefill_threads"] == 1
    assert "1 physical core allowed" in str(health["threads_reason"])
    assert expect_done(await client.answer("and still it answers")).held_back is None
    for thread in engine.threads():
        os.sched_setaffinity(thread.id, set(CPUS))
    if before > 1:
        await health_where(wire, lambda health: health["threads"] == before)


class CpuGroup:
    """A cgroup of the test's own, with a quota: what `systemctl set-property CPUQuota=` does to a service."""

    PERIOD_US = 100_000

    def __init__(self, top: Path) -> None:
        self.folder = top / f"edgeassist-test-{os.getpid()}"
        self.version2 = (top / "cgroup.controllers").exists()

    def limit(self, cpus: float) -> None:
        quota = round(cpus * self.PERIOD_US)
        if self.version2:
            (self.folder / "cpu.max").write_text(f"{quota} {self.PERIOD_US}")
        else:
            (self.folder / "cpu.cfs_quota_us").write_text(str(quota))

    def take(self, *pids: int) -> None:
        for pid in pids:
            (self.folder / "cgroup.procs").write_text(str(pid))

    def give_back(self) -> None:
        for pid in (self.folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (self.folder.parent / "cgroup.procs").write_text(pid)


@pytest.fixture
def cpu_group() -> Iterator[CpuGroup]:
    """A group for processes, where root may make one and the kernel has its CPU controller there."""
    for top in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")):
        group = CpuGroup(top)
        try:
            group.folder.mkdir()
        except OSError:
            continue
        if any((group.folder / name).exists() for name in ("cpu.max", "cpu.cfs_quota_us")):
            break
        group.folder.rmdir()
    else:
        pytest.skip("no cgroup with a CPU controller can be made here")
    yield group
    group.give_back()
    group.folder.rmdir()


async def test_a_quota_that_is_set_while_it_runs_is_followed(
    ready: StartReady, connect: AsyncConnect, cpu_group: CpuGroup
) -> None:
    daemon, _ = await ready()
    wire = await connect.wire("edgeassist/box/health")
    cpu_group.take(daemon.pid, engine_of(daemon).pid)
    cpu_group.limit(1)
    health = await health_where(wire, lambda health: health["threads"] == 1)
    assert "the cgroup quota allows 1" in str(health["threads_reason"])
    cpu_group.limit(1024)
    await health_where(wire, lambda health: "quota" not in health["threads_reason"])
    cpu_group.give_back()


async def test_another_program_gets_its_core_while_an_answer_runs_and_done_says_so(
    ready: StartReady, connect: AsyncConnect, trial_model: Path
) -> None:
    _, client = await ready(model__path=trial_model)
    wire = await connect.wire("edgeassist/box/health")
    most = choose_threads(read_cpu_snapshot()).threads
    if most < 2:
        pytest.skip("two processors of one core leave nothing to choose")
    with busy_program():
        asking = asyncio.create_task(keep_asking(client), name="asking")
        health = await health_where(wire, lambda health: health["threads"] < most)
        assert "other programs use" in str(health["threads_reason"])
        done = expect_done(await client.answer("tell me more", max_tokens=8))
        assert "other programs use" in str(done.held_back)
    asking.cancel()
    if psutil.cpu_percent(1.0) > QUIET_PERCENT:
        pytest.skip("other programs keep this machine busy: threads can't come back")
    health = await health_where(wire, lambda health: health["threads"] == most)
    assert "physical" in str(health["threads_reason"])


async def keep_asking(client: Requester) -> None:
    while True:
        await client.answer("go on", max_tokens=200, temperature=0)


async def test_a_configured_number_is_kept_whatever_happens(ready: StartReady, connect: AsyncConnect) -> None:
    daemon, client = await ready(engine__threads=2, engine__prefill_threads=1)
    health = await client.wait_health(frozenset({"ready"}), 5)
    assert health is not None
    assert (health["threads"], health["prefill_threads"]) == (2, 1)
    for thread in engine_of(daemon).threads():
        os.sched_setaffinity(thread.id, {CPUS[0]})
    wire = await connect.wire("edgeassist/box/health")
    await asyncio.sleep(3)
    await client.answer("hello")
    health = json.loads(wire.heard[-1].payload)
    assert (health["threads"], health["prefill_threads"]) == (2, 1)
    assert "more than the 1 this device gives" in str(health["threads_reason"])
