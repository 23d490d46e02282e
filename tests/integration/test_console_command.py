"""`edgeassist console`, and the setting of the daemon."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeassist.sandbox import HOST, free_port
from tests.conftest import StartReady
from tests.patience import PATIENCE_S


@contextmanager
def console(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "edgeassist", "console", *options]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def test_it_prints_its_address_serves_there_and_ends_with_ctrl_c() -> None:
    with console("--port", "0", "--broker", "ws://pi:9001") as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        found = re.match(r"(http://localhost:\d+/) \(Ctrl-C ends it; the broker: ws://pi:9001\)", line)
        assert found, line
        assert b"app.js" in fetch(found[1])
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE_S) == 0
        assert running.stderr is not None
        assert running.stderr.read() == ""


def test_what_can_not_be_is_told_in_a_sentence() -> None:
    refuse("--broker: must be the address of a WebSocket", "--broker", "http://pi")
    with console("--port", "0") as first:
        assert first.stdout is not None
        port = re.search(r"localhost:(\d+)/", first.stdout.readline())
        assert port
        refuse(f"port {port[1]} of 127.0.0.1 is taken", "--port", port[1])


def refuse(words: str, *options: str) -> None:
    with console(*options) as running:
        told = running.communicate(timeout=PATIENCE_S)[1]
        assert words in told
        assert "Traceback" not in told
        assert running.returncode == 78


async def test_the_daemon_serves_it_and_a_reload_turns_it_off(ready: StartReady, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "settings.toml"
    config.write_text(f"[console]\nenabled = true\nport = {port}\n")
    _, client = await ready(config=config)
    await until(lambda: listens(port))
    told = await asyncio.to_thread(fetch, f"http://localhost:{port}/config.json")
    assert json.loads(told)["device"] == "box"
    config.write_text("")
    response = await client.command("reload")
    assert response.data is not None
    assert response.data["applied"] == ["console.enabled", "console.port"]
    await until(lambda: not listens(port))


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(reached):
            await asyncio.sleep(0.02)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310 - of our own server
        return bytes(answer.read())


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
