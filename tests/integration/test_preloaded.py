"""A preloaded program is the same program: see tests/preloaded."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from edgeassist.sandbox import HOST, PrivateBroker
from tests.conftest import AsyncConnect, environ_of
from tests.patience import PATIENCE_S
from tests.preloaded import COVERAGE, PROGRAM, Fork, PrivateDaemon, Server, fits, server

pytestmark = pytest.mark.skipif(COVERAGE in os.environ, reason="what counts its coverage is not preloaded")


@pytest.fixture
def own() -> Iterator[Server]:
    """A server of the test's own."""
    made = Server(["edgeassist.daemon.app"], os.environ)
    yield made
    made.stop()


def begin(by: Server, folder: Path, *arguments: str, **settings: str) -> tuple[Fork, Path]:
    environ = {**os.environ, **{f"EDGEASSIST_{key.upper()}": value for key, value in settings.items()}}
    said = folder / "said"
    with Path(os.devnull).open("rb") as nothing, said.open("ab") as log:
        return by.start(arguments, (nothing, log, log), environ), said


def usual(*arguments: str, **settings: str) -> tuple[int, str]:
    environ = {**os.environ, **{f"EDGEASSIST_{key.upper()}": value for key, value in settings.items()}}
    ended = subprocess.run(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        timeout=PATIENCE_S,
        check=False,
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--version"], {}),
        (["run", "--nonsense"], {}),
        (["check-config"], {"device__name": "from-its-environment"}),
        (["--config", "no-such.toml", "run"], {"mqtt__port": "none"}),
    ],
)
def test_it_says_what_it_says_elsewhere_and_ends_alike(
    arguments: list[str], settings: Mapping[str, str], tmp_path: Path
) -> None:
    fork, said = begin(server(), tmp_path, *arguments, **settings)
    status = fork.wait(PATIENCE_S)
    assert (status, said.read_text()) == usual(*arguments, **settings)


async def test_a_daemon_is_one_of_its_own_until_it_is_stopped(
    broker: PrivateBroker, connect: AsyncConnect, tmp_path: Path
) -> None:
    with PrivateDaemon(tmp_path, environ_of(broker.port)) as daemon:
        client = await connect()
        assert await client.wait_health(frozenset({"ready"}), PATIENCE_S) is not None
        process = psutil.Process(daemon.pid)
        assert os.getsid(daemon.pid) == daemon.pid
        assert process.cwd() == str(Path.cwd())
        (engine,) = process.children()
        assert [word for word in engine.cmdline() if word][2:4] == ["-m", "edgeassist.engine"]
        assert daemon.running
        assert daemon.stop() == 0
    assert "stopped" in daemon.log.read_text().splitlines()[-1]


def test_it_can_be_killed_and_stays_what_its_id_means_until_its_end_was_told(tmp_path: Path) -> None:
    fork, _ = begin(server(), tmp_path, "run", mqtt__host=HOST, mqtt__port="1", model__backend="scripted")
    assert fork.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(0)
    process = psutil.Process(fork.pid)
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        os.sched_yield()
    assert fork.wait(PATIENCE_S) == fork.poll() == -signal.SIGKILL
    assert not process.is_running()
    fork.kill()


def test_what_it_has_forked_ends_with_it(own: Server, tmp_path: Path) -> None:
    fork, _ = begin(own, tmp_path, "run", mqtt__host=HOST, mqtt__port="1", model__backend="scripted")
    process = psutil.Process(fork.pid)
    own.stop()
    process.wait(PATIENCE_S)


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next(own: Server, tmp_path: Path) -> None:
    os.kill(own.pid, signal.SIGSTOP)
    own._socket.settimeout(0)
    with pytest.raises(BlockingIOError):
        begin(own, tmp_path, "run")
    os.kill(own.pid, signal.SIGCONT)
    own._socket.settimeout(PATIENCE_S)
    fork, said = begin(own, tmp_path, "--version")
    assert fork.wait(PATIENCE_S) == 0
    assert said.read_text().startswith("edgeassist ")


def test_what_differs_while_modules_are_imported_starts_as_usual() -> None:
    assert fits(os.environ)
    assert fits({**os.environ, "EDGEASSIST_DEVICE__NAME": "other", "ORT_DISABLE_TELEMETRY": "2"})
    assert not fits({**os.environ, "PYTHONPATH": "/elsewhere"})
    assert not fits({**os.environ, COVERAGE: "x"})
