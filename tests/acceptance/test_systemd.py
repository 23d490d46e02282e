"""What systemd hears: a real notification socket, as sd_notify(3) writes to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from edgeassist.daemon.systemd import JournalHandler
from edgeassist.sandbox import PrivateBroker
from tests.conftest import StartDaemon
from tests.patience import PATIENCE_S


class Manager:
    """Stands where systemd stands: it only listens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))
        self.heard: list[str] = []

    async def hears(self, line: str, timeout_s: float = PATIENCE_S, *, times: int = 1) -> None:
        """Wait until so many lines begin like that."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            while sum(each.startswith(line) for each in self.heard) < times:
                self.heard += (await loop.sock_recv(self.socket, 4096)).decode().splitlines()

    async def listens(self, seconds: float) -> list[str]:
        before = len(self.heard)
        with contextlib.suppress(TimeoutError):
            await self.hears("never said", seconds)
        return self.heard[before:]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


async def test_ready_comes_when_model_and_subscriptions_stand_and_stopping_at_the_end(
    manager: Manager, broker: PrivateBroker, daemon: StartDaemon
) -> None:
    broker.stop()
    process = daemon(environ={"NOTIFY_SOCKET": str(manager.path)})
    while "loaded scripted" not in process.log.read_text():
        await manager.listens(0.1)
    await manager.hears("STATUS=nothing listens")
    # Ten seconds after the start it may come without a broker: on a busy machine the load takes as long.
    assert "READY=1" not in manager.heard or "can't answer yet" in process.log.read_text()
    broker.start()
    await manager.hears("READY=1")
    await manager.hears("STATUS=ready: scripted")
    os.kill(process.pid, signal.SIGTERM)
    await manager.hears("STOPPING=1")


async def test_a_broker_that_never_comes_holds_ready_up_for_seconds_only_and_the_status_names_it(
    manager: Manager, broker: PrivateBroker, daemon: StartDaemon
) -> None:
    broker.stop()
    process = daemon(environ={"NOTIFY_SOCKET": str(manager.path)})
    await manager.hears("READY=1")
    await manager.hears("STATUS=nothing listens")
    assert "started, and can't answer yet: nothing listens" in process.log.read_text()
    broker.start()
    await manager.hears("STATUS=ready: scripted")
    assert manager.heard.count("READY=1") == 1


async def test_a_setting_lets_ready_come_before_the_broker(
    manager: Manager, broker: PrivateBroker, daemon: StartDaemon
) -> None:
    broker.stop()
    daemon(environ={"NOTIFY_SOCKET": str(manager.path)}, daemon__ready_without_broker=True)
    await manager.hears("READY=1")


async def test_the_watchdog_is_fed_and_not_by_a_daemon_that_hangs(
    manager: Manager, daemon: StartDaemon
) -> None:
    process = daemon(environ={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "600000"})
    await manager.hears("READY=1")
    manager.heard.clear()
    begun = time.monotonic()
    await manager.hears("WATCHDOG=1", times=4)
    assert time.monotonic() - begun > 0.6
    os.kill(process.pid, signal.SIGSTOP)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        await manager.listens(0.05)
    await manager.listens(0.1)
    assert await manager.listens(1.2) == []
    os.kill(process.pid, signal.SIGCONT)
    manager.heard.clear()
    await manager.hears("WATCHDOG=1")


def test_the_journal_takes_a_record_with_all_of_its_fields(capfd: pytest.CaptureFixture[str]) -> None:
    handler = JournalHandler()
    record = logging.LogRecord("test", logging.ERROR, __file__, 1, "said %d", (1,), (None, None, None), "f")
    record.request_id = "1"
    handler.handle(record)
    record.msg, record.args = "what UTF-8 does not allow: \udcff", ()
    handler.handle(record)
    said = capfd.readouterr().err
    assert said.count("--- Logging error ---") == 1
    assert "surrogates not allowed" in said
