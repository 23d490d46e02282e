"""Daemons and commands that begin with their modules loaded: a third of a second of processor less for each.

A server (tests/preloaded/server.py) has imported what `python -m edgeassist run` imports, another what the
commands of a person do. What is to be started is a fork of it, and becomes that program: with its arguments,
environment, folder, input, output, session and end. It only lacks its own command line in /proc. Tests about
a start itself, or that look for that line, take what `edgeassist.sandbox` starts.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, BinaryIO

from edgeassist import sandbox
from tests.patience import PATIENCE_S

# How `edgeassist.sandbox` and tests call it.
PROGRAM = (sys.executable, "-P", "-m", "edgeassist")
# What they have imported before they read a setting.
MODULES = {
    "run": ["edgeassist.cli.run", "edgeassist.daemon.app"],
    "commands": [
        *(
            f"edgeassist.cli.{name}"
            for name in ("ask", "check", "decide", "doctor", "fleet", "models", "status")
        ),
        "rich.console",
        "rich.table",
    ],
}
# What no module looks at while it is imported. What differs in more than that is started as usual.
FREE = ("EDGEASSIST_", "STATE_DIRECTORY", "NOTIFY_SOCKET", "PYTEST_", "XDG_", "COLUMNS")
# What coverage.py sets for the processes that it is to measure.
COVERAGE = "COVERAGE_PROCESS_CONFIG"
_WAIT_S = 60.0


class Fork:
    """One of these programs, as `subprocess.Popen` shows one.

    Args:
        server: What has forked it.
        pid: Its process id.
        handle: Its pidfd.

    Attributes:
        pid: Its process id. It stays that of this process until `poll` or `wait` has told its end.
        returncode: None until then.
    """

    def __init__(self, server: Server, pid: int, handle: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._handle = handle

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, in seconds, and return its exit status.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        if self.returncode is None:
            ends = select.poll()
            ends.register(self._handle, select.POLLIN)
            if not ends.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(PROGRAM, timeout or 0)
            self.returncode = self._server.status_of(self.pid)
            os.close(self._handle)
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, sig)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class Server:
    """The process that forks them. It begins when it is made, and ends with this process, as its forks do.

    Args:
        modules: What it imports.
    """

    def __init__(self, *modules: str) -> None:
        self.environ = dict(os.environ)
        self._lock = Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_WAIT_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__name__}.server", str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Were it a terminal, Python would write line by line, in forks too.
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env=self.environ,
            )

    def start(self, arguments: Sequence[str], files: Sequence[IO[Any]], environ: Mapping[str, str]) -> Fork:
        """Fork a program with these arguments.

        Args:
            arguments: Behind `python -m edgeassist`.
            files: Its input, output and errors.
            environ: Its environment.
        """
        asked = {"arguments": [*map(str, arguments)], "folder": str(Path.cwd()), "environ": dict(environ)}
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], [file.fileno() for file in files])
            said, handles, _, _ = socket.recv_fds(self._socket, 1024, 1)
        if not handles:
            raise RuntimeError("the server of preloaded programs has ended; standard error says why")
        return Fork(self, int(said), handles[0])

    def status_of(self, pid: int) -> int:
        """Return how a fork that has ended did, and let the kernel forget it."""
        with self._lock:
            self._socket.send(json.dumps({"ended": pid}).encode())
            return int(self._socket.recv(1024))

    def stop(self) -> None:
        """End it, and what it has forked."""
        self._socket.close()
        self._process.wait(_WAIT_S)


@cache
def server(kind: str = "run") -> Server:
    """Return this process's for daemons, or for `commands`."""
    made = Server("edgeassist.cli.main", *MODULES[kind])
    atexit.register(made.stop)
    return made


def fits(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether a fork can become that command. What is to count its coverage does so from its start."""
    if tuple(command[: len(PROGRAM)]) != PROGRAM or COVERAGE in environ:
        return False
    return {key: value for key, value in environ.items() if not key.startswith(FREE)} == {
        key: value for key, value in server().environ.items() if not key.startswith(FREE)
    }


class PrivateDaemon(sandbox.PrivateDaemon):
    """As that of `edgeassist.sandbox`, and begins with its modules loaded."""

    def _spawn(
        self, command: Sequence[str], log: BinaryIO, environ: Mapping[str, str] | None
    ) -> sandbox.Child:
        given = os.environ if environ is None else environ
        if not fits(command, given):
            return super()._spawn(command, log, environ)
        with Path(os.devnull).open("rb") as nothing:
            return server().start(command[len(PROGRAM) :], (nothing, log, log), given)


def run(*arguments: str, environ: Mapping[str, str], read: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end, within `PATIENCE_S`, and return what it printed.

    Args:
        arguments: Behind `python -m edgeassist`.
        environ: Its environment.
        read: Its input.
    """
    command = [*PROGRAM, *arguments]
    if not fits(command, environ):
        return subprocess.run(
            command, env=environ, input=read, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    with TemporaryFile("w+") as given, TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        given.write(read)
        given.seek(0)
        fork = server("commands").start(arguments, (given, output, errors), environ)
        try:
            status = fork.wait(PATIENCE_S)
        finally:
            fork.kill()
            fork.wait(PATIENCE_S)
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(command, status, output.read(), errors.read())
