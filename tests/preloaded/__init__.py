"""Programs that begin with their modules loaded: for each, up to four tenths of a second of processor less.

A server (tests/preloaded/server.py) has imported what `python -m edgeassist run` imports, another what the
commands of a person do, and one what engines do, but for the library of a backend. What is to be started is a
fork of it, and becomes that program: with its arguments, environment, folder, files, session and end. It only
lacks its own command line in /proc. Tests about a start itself, or that look for that line, take what
`edgeassist.sandbox` starts.
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
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, BinaryIO

from edgeassist import sandbox
from edgeassist.supervision.spawning import environment
from tests.patience import PATIENCE_S

# How `edgeassist.sandbox` and tests call it.
PROGRAM = (sys.executable, "-P", "-m", "edgeassist")
_ENGINE = [
    "edgeassist.engine.backends.scripted",
    "edgeassist.engine.constraints.compiler",
    "edgeassist.engine.prompting.template",
    "edgeassist.engine.startup",
    "numpy",
]
# What they have imported before they read a setting.
MODULES = {
    "run": [
        "edgeassist.cli.main",
        "edgeassist.cli.run",
        "edgeassist.daemon.app",
        "edgeassist.first_engine",
        "edgeassist.supervision.last_load",
        *_ENGINE,
        "tests.preloaded.engines",
    ],
    "engine": _ENGINE,
    "commands": [
        "edgeassist.cli.main",
        *(
            f"edgeassist.cli.{name}"
            for name in ("ask", "check", "decide", "doctor", "fleet", "models", "status")
        ),
        "rich.console",
        "rich.table",
    ],
}
# What Python and these modules look at before they do anything. What differs in it is started as usual.
FIXED = (
    *("HOME", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "TZ"),
    *("NPY_", "NUMPY_", "OPENBLAS_", "PSUTIL_", "PYDANTIC_", "TYPER_"),
)
# What coverage.py sets for the processes that it is to measure.
COVERAGE = "COVERAGE_PROCESS_CONFIG"


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
        environ: Its environment.

    Attributes:
        environ: Its environment.
        pid: Its process id.
    """

    def __init__(self, modules: Sequence[str], environ: Mapping[str, str]) -> None:
        self.environ = dict(environ)
        self._lock = Lock()
        self._numbers = count()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(PATIENCE_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__name__}.server", str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Were it a terminal, Python would write line by line, in forks too.
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                # A fork has one thread; NumPy would begin one for each other core.
                env={**self.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        self.pid = self._process.pid

    def start(
        self,
        arguments: Sequence[str],
        files: Sequence[IO[Any] | socket.socket],
        environ: Mapping[str, str],
        module: str = "edgeassist",
    ) -> Fork:
        """Fork a program with these arguments.

        Args:
            arguments: Behind `python -m edgeassist`.
            files: Its input, output and errors, and what it finds at descriptor 3.
            environ: Its environment.
            module: What is run, instead of `edgeassist`.
        """
        asked = {
            "module": module,
            "arguments": [*map(str, arguments)],
            "folder": str(Path.cwd()),
            "environ": dict(environ),
        }
        pid, (handle,) = self._ask(asked, [file.fileno() for file in files])
        return Fork(self, pid, handle)

    def status_of(self, pid: int) -> int:
        """Return how a fork that has ended did, and let the kernel forget it."""
        return self._ask({"ended": pid})[0]

    def _ask(self, wish: Mapping[str, Any], files: Sequence[int] = ()) -> tuple[int, list[int]]:
        with self._lock:
            number = next(self._numbers)
            socket.send_fds(self._socket, [json.dumps({**wish, "number": number}).encode()], files)
            while True:
                said, handles, _, _ = socket.recv_fds(self._socket, 1024, 1)
                if not said:
                    raise RuntimeError("the server of preloaded programs has ended; standard error says why")
                about, answer = map(int, said.split())
                if about == number:
                    return answer, handles
                # What a test asked that ran out of its time meanwhile.
                for handle in handles:
                    os.close(handle)

    def stop(self) -> None:
        """End it, and what it has forked."""
        self._socket.close()
        self._process.wait(PATIENCE_S)


@cache
def server(kind: str = "run") -> Server:
    """Return this process's for daemons, for `commands`, or for an `engine`."""
    made = Server(MODULES[kind], environment(os.environ) if kind == "engine" else os.environ)
    atexit.register(made.stop)
    return made


def fits(environ: Mapping[str, str], kind: str = "run") -> bool:
    """Whether a fork can have that environment. What is to count its coverage does so from its start."""
    if COVERAGE in environ:
        return False
    return _fixed(environ) == _fixed(server(kind).environ)


def _fixed(environ: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environ.items() if key.startswith(FIXED)}


class PrivateDaemon(sandbox.PrivateDaemon):
    """As that of `edgeassist.sandbox`, and begins with its modules loaded."""

    def _spawn(
        self, command: Sequence[str], log: BinaryIO, environ: Mapping[str, str] | None
    ) -> sandbox.Child:
        given = os.environ if environ is None else environ
        if tuple(command[: len(PROGRAM)]) != PROGRAM or not fits(given):
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
    if not fits(environ, "commands"):
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


def engine(connection: socket.socket, output: IO[bytes], environ: Mapping[str, str]) -> sandbox.Child:
    """Start an engine.

    Args:
        connection: Its end of the pipe.
        output: What it prints goes there.
        environ: Its environment.
    """
    if fits(environ, "engine"):
        with Path(os.devnull).open("rb") as nothing:
            files = (nothing, output, output, connection)
            begun = server("engine")
            return begun.start(["3", str(begun.pid)], files, environ, "edgeassist.engine")
    fd = connection.fileno()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "edgeassist.engine", str(fd), str(os.getpid())],
        pass_fds=[fd],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environ,
    )
