"""The engine's threads follow what the device gives, while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from edgeassist.bench.competitor import busy_program
from edgeassist.client.requester import Requester
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.sandbox import PrivateDaemon
from tests.conftest import AsyncConnect, StartReady, Wire, expect_done
from tests.patience import PATIENCE_S

CPUS = sorted(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(len(CPUS) < 2, reason="one processor leaves nothing to choose")


class OtherPrograms:
    """A /proc/stat in which other programs use what a test says: nothing, or everything."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.busy = False
        self._ticks = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="other-programs")

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(0.05):
            now = time.monotonic()
            # The daemon takes off what its engine uses, which is at most all of a processor.
            self._ticks += self.busy * 2 * (now - before) * os.sysconf("SC_CLK_TCK")
            before = now
            self._write()

    def _write(self) -> None:
        # Always of one length, and in one piece: who reads meanwhile never sees an empty file.
        lines = [f"cpu{number} {round(self._ticks):020d} 0 0 7 7 0 0 0 0 0" for number in CPUS]
        text = "\n".join(["cpu  0 0 0 0 0 0 0 0 0 0", *lines, f"btime {round(psutil.boot_time())}", ""])
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(descriptor, text.encode(), 0)
        finally:
            os.close(descriptor)


@pytest.fixture
def others(tmp_path: Path) -> Iterator[OtherPrograms]:
    """What the daemon is told of other programs: at first that there are none."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can show a daemon another /proc/stat")
    with OtherPrograms(tmp_path / "stat") as programs:
        yield programs


@pytest.fixture
def prefix(others: OtherPrograms) -> tuple[str, ...]:
    """Have the daemon read that file instead of the machine's."""
    return ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /proc/stat && exec "$@"', str(others.file))


def engine_of(daemon: PrivateDaemon) -> psutil.Process:
    children = psutil.Process(daemon.pid).children()
    return next(child for child in children if "edgeassist.engine" in child.cmdline())


async def health_where(
    wire: Wire, says: Callable[[dict[str, Any]], bool], timeout_s: float = PATIENCE_S
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


async def test_another_program_gets_its_core_while_an_answer_runs_and_it_comes_back(
    ready: StartReady, connect: AsyncConnect, trial_model: Path, others: OtherPrograms
) -> None:
    _, client = await ready(model__path=trial_model)
    wire = await connect.wire("edgeassist/box/health")
    most = choose_threads(read_cpu_snapshot()).threads
    if most < 2:
        pytest.skip("two processors of one core leave nothing to choose")
    others.busy = True
    asking = asyncio.create_task(keep_asking(client), name="asking")
    health = await health_where(wire, lambda health: health["threads"] < most)
    assert "other programs use" in str(health["threads_reason"])
    done = expect_done(await client.answer("tell me more", max_tokens=8))
    assert "other programs use" in str(done.held_back)
    others.busy = False
    health = await health_where(wire, lambda health: health["threads"] == most)
    assert "physical" in str(health["threads_reason"])
    asking.cancel()


@pytest.mark.parametrize("prefix", [()], ids=["real"])
async def test_a_real_program_that_computes_is_noticed(
    ready: StartReady, connect: AsyncConnect, trial_model: Path, prefix: tuple[str, ...]
) -> None:
    _, client = await ready(model__path=trial_model)
    wire = await connect.wire("edgeassist/box/health")
    with busy_program():
        asking = asyncio.create_task(keep_asking(client), name="asking")
        await health_where(wire, lambda health: "other programs use" in health["threads_reason"])
        asking.cancel()


async def keep_asking(client: Requester) -> None:
    while True:
        await client.answer("go on", max_tokens=200, temperature=0)


async def test_a_configured_number_is_kept_whatever_happens(ready: StartReady, connect: AsyncConnect) -> None:
    daemon, client = await ready(engine__threads=2, engine__prefill_threads=1)
    wire = await connect.wire("edgeassist/box/health")
    health = json.loads((await wire.until(lambda _: True)).payload)
    assert (health["threads"], health["prefill_threads"]) == (2, 1)
    for thread in engine_of(daemon).threads():
        os.sched_setaffinity(thread.id, {CPUS[0]})
    await client.answer("hello")
    health = await health_where(
        wire, lambda health: "more than the 1 this device gives" in health["threads_reason"]
    )
    assert (health["threads"], health["prefill_threads"]) == (2, 1)


async def test_no_more_than_the_most_that_is_set_and_below_it_threads_adapt(
    ready: StartReady, connect: AsyncConnect
) -> None:
    most = choose_threads(read_cpu_snapshot()).threads
    if most < 2:
        pytest.skip("two processors of one core leave nothing to choose")
    daemon, _ = await ready(engine__threads_max=1)
    wire = await connect.wire("edgeassist/box/health")
    health = await health_where(wire, lambda health: health["prefill_threads"] == most)
    assert health["threads"] == 1
    assert "; at most 1 to write (engine.threads_max)" in str(health["threads_reason"])
    for thread in engine_of(daemon).threads():
        os.sched_setaffinity(thread.id, {CPUS[0]})
    health = await health_where(wire, lambda health: health["prefill_threads"] == 1)
    assert health["threads"] == 1
    assert "at most" not in str(health["threads_reason"])


async def test_an_engine_that_keeps_its_threads_is_loaded_with_the_most_that_is_set(
    ready: StartReady, trial_onnx: Path
) -> None:
    pytest.importorskip("onnxruntime_genai")
    _, client = await ready(model__path=trial_onnx, engine__threads_max=1)
    health = await client.wait_health(frozenset({"ready"}), PATIENCE_S)
    assert health is not None
    assert health["threads"] == health["prefill_threads"] == 1
