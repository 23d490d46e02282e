"""The engine process: reads commands from a socket that only the daemon has, and writes events.

Started by the daemon as `python -m edgeassist.engine FD DAEMON_PID`; imports little before it knows what to
load. Standard output and error are left to what native libraries print; the daemon logs it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from edgeassist.engine.backends.loading import begin_backend
from edgeassist.engine.messages import (
    Command,
    Event,
    Level,
    Load,
    Loading,
    Log,
    Unusable,
    decode_command,
    encode,
)
from edgeassist.errors import ExitStatus, ModelError

if TYPE_CHECKING:
    from edgeassist.engine.encoder import Prompt

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Counts as half of all memory on top of what the process uses (proc(5), oom_score_adj).
_OOM_SCORE_ADJ = 500
# How long the reader waits for the GIL before it asks the worker for it, in seconds: a cancel is urgent. It
# must be shorter than a step, since the wait restarts whenever the worker releases and takes the GIL.
_SWITCH_S = 0.0001
# Of each thread: what compiles grammars and renders templates recurses, and some systems give threads little.
_STACK_BYTES = 32 << 20


class Pipe:
    """The engine's end of the socket pair. `emit` may be called by any thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._lock = threading.Lock()
        # Called in the reader's thread after each queued command: the worker only looks between steps.
        self.on_command: Callable[[Command], None] = lambda _command: None

    def emit(self, events: Iterable[Event]) -> None:
        """Send the events in one write; ends the process if the daemon is gone."""
        data = b"".join(map(encode, events))
        try:
            with self._lock:
                self._connection.sendall(data)
        except OSError:
            os._exit(ExitStatus.UNAVAILABLE)

    def first(self) -> Command:
        """Wait for the first command."""
        return self._decode(self._lines.readline())

    def read_into(self, commands: SimpleQueue[Command | Prompt]) -> None:
        """Queue commands until the daemon is gone, then end the process, whatever it computes.

        A line that is no command ends it too: an engine that misses commands is worse than none.
        """
        status = ExitStatus.UNAVAILABLE
        try:
            for line in self._lines:
                command = self._decode(line)
                commands.put(command)
                self.on_command(command)
        except ValueError as error:
            status = ExitStatus.SOFTWARE
            self.emit([Log(Level.ERROR, __name__, f"the daemon sent what is no command: {error}")])
        finally:  # an OSError means that the daemon is gone, too
            os._exit(status)

    @staticmethod
    def _decode(line: bytes) -> Command:
        if not line:
            os._exit(ExitStatus.UNAVAILABLE)
        return decode_command(line)


class PipeHandler(logging.Handler):
    """Sends log records to the daemon, which owns the log."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; a level without a name counts as the next lower one."""
        level = max(
            (known for known in Level if logging.getLevelName(known) <= record.levelno), key=_severity
        )
        self._pipe.emit([Log(level, record.name, self.format(record))])


def _severity(level: Level) -> int:
    return int(logging.getLevelName(level))


def main() -> int:
    """Serve until the daemon sends stop or is gone; returns the exit status."""
    _die_with(int(sys.argv[2]))
    _prefer_for_oom_kill()
    # A terminal or systemd sends these to the whole group; the daemon decides when the engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.setswitchinterval(_SWITCH_S)
    threading.stack_size(_STACK_BYTES)
    pipe = Pipe(socket.socket(fileno=int(sys.argv[1])))
    logging.basicConfig(handlers=[PipeHandler(pipe)], level=logging.DEBUG, format="%(message)s")
    options = pipe.first()
    if not isinstance(options, Load):
        pipe.emit([Unusable(f"the first command must be load, not {type(options).__name__}")])
        return ExitStatus.SOFTWARE
    commands: SimpleQueue[Command | Prompt] = SimpleQueue()
    threading.Thread(target=pipe.read_into, args=[commands], name="reader", daemon=True).start()
    try:
        pipe.emit([Loading(0.0)])
        finish = begin_backend(options)
        # A third of what an engine imports; llama.cpp reads the file meanwhile.
        from edgeassist.engine.startup import start  # noqa: PLC0415 - as said above

        worker = start(options, finish, pipe.emit, commands)
        # It holds the file's header, megabytes of vocabulary.
        del finish
    except ModelError as error:
        pipe.emit([Unusable(error.message, for_now=error.retryable)])
        return error.exit_status
    pipe.on_command = worker.interrupt
    worker.run()
    # The kernel frees all that native destructors would, and some of them have crashed at exit.
    os._exit(ExitStatus.OK)


def _die_with(daemon: int) -> None:
    """Ask the kernel for SIGKILL when the daemon ends; the reader notices too late in a long step.

    If the daemon died before the call, no signal comes, so the parent is checked after it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != daemon:
        os._exit(ExitStatus.UNAVAILABLE)


def _prefer_for_oom_kill() -> None:
    """Make the OOM killer choose this process before the daemon, which can report it and start another.

    Raising the score needs no privilege. A score that is already higher stays.
    """
    path = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):
        if int(path.read_text(encoding="ascii")) < _OOM_SCORE_ADJ:
            path.write_text(str(_OOM_SCORE_ADJ), encoding="ascii")


if __name__ == "__main__":
    sys.exit(main())
