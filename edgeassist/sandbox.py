"""A private broker and a private daemon on this machine, for `demo`, `bench` and the tests.

Both listen on loopback only, keep what they write in a folder of the caller's, and end with their `with`.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeassist.errors import BrokerError, ConfigurationError

HOST = "127.0.0.1"
START_S = 10.0
STOP_S = 30.0


class PrivateProcess:
    """A child in a session of its own, so that Ctrl-C in the terminal is for its parent to pass on.

    Args:
        log: Where its output is appended.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The child's process id; raises where it does not run."""
        if self._child is None:
            raise ProcessLookupError("not started")
        return self._child.pid

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""
        return None if self._child is None else self._child.poll()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send the signal, wait, and return the exit status; it is killed if it takes too long."""
        child, self._child = self._child, None
        if child is None:
            return None
        if child.poll() is None:
            child.send_signal(number)
        try:
            return child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def _start(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - the command is ours
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


class PrivateBroker(PrivateProcess):
    """A Mosquitto on a free loopback port.

    Args:
        folder: For its configuration and log.
        settings: More lines of mosquitto.conf(5); the listener's own lines are there already.
    """

    def __init__(self, folder: Path, settings: Sequence[str] = ("allow_anonymous true",)) -> None:
        super().__init__(folder / "mosquitto.log")
        self._folder = folder
        self._settings = settings
        self.port = free_port()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def start(self) -> None:
        """Start, on the same port as before, and wait until it listens.

        Raises:
            ConfigurationError: There is no Mosquitto.
            BrokerError: It did not start.
        """
        lines = [
            f"listener {self.port} {HOST}",
            "set_tcp_nodelay true",
            "persistence false",
            f"user {getpass.getuser()}",  # started by root, it would give up root and with it our folder
            *self._settings,
        ]
        configuration = self._folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        self._start([find_mosquitto(), "-c", str(configuration)])
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise BrokerError(f"Mosquitto did not start: {self.log.read_text(errors='replace')[-500:]}")


class PrivateDaemon(PrivateProcess):
    """`edgeassist run` as a process.

    Args:
        folder: For its log.
        environ: Settings, `EDGEASSIST_<TABLE>__<KEY>`.
        config: More settings; None for no file at all, not even the machine's.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], config: Path | None = None) -> None:
        super().__init__(folder / "daemon.log")
        self._folder = folder
        self._environ = environ
        self._config = config

    def __enter__(self) -> Self:
        """Start; the client waits until it is ready."""
        self.start()
        return self

    def start(self) -> None:
        """Start; returns at once."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
        config = self._config or self._folder / "no-settings.toml"
        config.touch()
        command = [sys.executable, "-P", "-m", "edgeassist", "--config", str(config), "run"]
        self._start(command, {**inherited, **self._environ})


def find_mosquitto() -> str:
    """Return the path of the broker's program; Debian puts it where users' PATH does not look."""
    path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise ConfigurationError("mosquitto is not installed: sudo apt-get install mosquitto")
    return path


def free_port() -> int:
    """Return a TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
