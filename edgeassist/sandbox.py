"""A private broker and a private daemon on this machine, for `demo`, `bench` and the tests.

Both use loopback only, write only to the caller's folder, and stop at the end of their `with` block.
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
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from edgeassist.errors import BrokerError, ConfigurationError
from edgeassist.orphans import watch

HOST = "127.0.0.1"
START_S = 10.0
STOP_S = 30.0
PORTS_HELD = 64

_reserved: deque[socket.socket] = deque()


class Child(Protocol):
    """What is needed of a `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Return its exit status; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit status; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""


class PrivateProcess:
    """A child process in its own session, so that Ctrl-C in the terminal reaches only its parent.

    It is stopped when its parent has gone, even if that was killed.

    Args:
        log: The file that its output is appended to.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The child's process id; raises ProcessLookupError if it is not running."""
        if self._child is None:
            raise ProcessLookupError("not started")
        return self._child.pid

    def poll(self) -> int | None:
        """Return the exit status; None while it runs or before it starts."""
        return None if self._child is None else self._child.poll()

    @property
    def running(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._child is not None and self._child.poll() is None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send the signal, wait, and return the exit status; kill the child after STOP_S seconds."""
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
            self._child = self._spawn(command, log, environ)

    def _spawn(self, command: Sequence[str], log: BinaryIO, environ: Mapping[str, str] | None) -> Child:
        """Start a command whose output goes to the log; without an environment it has ours."""
        child = subprocess.Popen(  # noqa: S603 - the command is ours
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
        )
        try:
            watch(child.pid)
        except BaseException:
            child.kill()
            child.wait()
            raise
        return child

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process."""
        self.stop()


class PrivateBroker(PrivateProcess):
    """A Mosquitto on a free loopback port.

    Args:
        folder: For its configuration and log.
        settings: Extra lines of mosquitto.conf(5), besides the listeners.
        web: Whether browsers reach it, too.

    Attributes:
        port: Of MQTT.
        web_port: Of MQTT over WebSockets; None without, and where Mosquitto was built without them.
    """

    def __init__(
        self, folder: Path, settings: Sequence[str] = ("allow_anonymous true",), *, web: bool = False
    ) -> None:
        super().__init__(folder / "mosquitto.log")
        self._folder = folder
        self._settings = settings
        self.port = free_port()
        self.web_port = free_port() if web else None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def start(self) -> None:
        """Start, on the same port as before, and wait until it listens.

        Raises:
            ConfigurationError: Mosquitto is not installed.
            BrokerError: It did not start within START_S seconds.
        """
        lines = [
            f"listener {self.port} {HOST}",
            "set_tcp_nodelay true",
            "persistence false",
            f"user {getpass.getuser()}",  # started as root, it would drop privileges and lose our folder
            *self._settings,
        ]
        if self.web_port is not None:
            lines += [f"listener {self.web_port} {HOST}", "protocol websockets"]
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
        said = self.log.read_text(errors="replace")[-500:]
        if self.web_port is not None and "Websockets support not available" in said:
            self.web_port = None
            self.start()
            return
        raise BrokerError(f"Mosquitto did not start: {said}")


class PrivateDaemon(PrivateProcess):
    """`edgeassist run` as a process.

    Args:
        folder: For its log, and for KV states.
        environ: Settings, as `EDGEASSIST_<TABLE>__<KEY>`; what changes in it holds from the next start on.
        config: A settings file; None for an empty one. The machine's own file is never read.
        prefix: A command that becomes the daemon, such as `nice`.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        config: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        super().__init__(folder / "daemon.log")
        self._folder = folder
        self._environ = environ
        self._config = config
        self._prefix = prefix

    def __enter__(self) -> Self:
        """Start; clients must wait until it is ready."""
        self.start()
        return self

    def start(self) -> None:
        """Start; returns at once."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
        config = self._config or self._folder / "no-settings.toml"
        config.touch()
        command = [sys.executable, "-P", "-m", "edgeassist", "--config", str(config), "run"]
        # Never a model that the user's own daemon was told to serve, nor states of another run.
        ours = {
            "STATE_DIRECTORY": str((self._folder / "state").resolve()),
            "RUNTIME_DIRECTORY": str((self._folder / "run").resolve()),
            **self._environ,
        }
        self._start([*self._prefix, *command], {**inherited, **ours})


def find_mosquitto() -> str:
    """Return the path of Mosquitto; Debian installs it in /usr/sbin, which is not on a user's PATH.

    Raises:
        ConfigurationError: It is not installed.
    """
    path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise ConfigurationError("mosquitto is not installed: sudo apt-get install mosquitto")
    return path


def free_port() -> int:
    """Return a TCP port on loopback for a server that this process starts; nobody else is given it meanwhile.

    It stays bound here without listening, so it refuses connections until that server listens, which has to
    set SO_REUSEADDR or SO_REUSEPORT, as servers do. Held are the latest PORTS_HELD ports.
    """
    reserved = socket.socket()
    reserved.bind((HOST, 0))
    # Not before: among sockets that share, the kernel may choose a port that is taken.
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        reserved.setsockopt(socket.SOL_SOCKET, option, 1)
    _reserved.append(reserved)
    if len(_reserved) > PORTS_HELD:
        _reserved.popleft().close()
    return int(reserved.getsockname()[1])
