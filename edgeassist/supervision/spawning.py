"""Starting an engine process; imports little, so that a daemon can begin with it.

An engine imports for as long as a daemon does, and can do so meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeassist.engine.messages import Load

_END_S = 5.0
# How long an engine may take to read what it is told first: a long system prompt fills the pipe.
SEND_S = 10.0


@dataclass(frozen=True, slots=True)
class Spawned:
    """An engine that has begun.

    Attributes:
        process: It.
        connection: Our end of its pipe.
        begun: When it was started, by the monotonic clock.
        told: What it loads already; None: it waits for its first command.
    """

    process: subprocess.Popen[bytes]
    connection: socket.socket
    begun: float
    told: Load | None = None

    def load(self, command: Load) -> Spawned:
        """Tell it what to load, and return it as one that was told."""
        # It has begun by now, and imports as much.
        from edgeassist.engine.messages import encode  # noqa: PLC0415

        # It is gone, or hangs, and whoever takes it over sees that.
        with contextlib.suppress(OSError):
            self.connection.settimeout(SEND_S)
            self.connection.sendall(encode(command))
        return replace(self, told=command)

    def loads(self, command: Load) -> bool:
        """Whether it was told that already; how much memory is free changes with each look."""
        from msgspec.structs import replace as replace_fields  # noqa: PLC0415 - as above

        return self.told is not None and self.told == replace_fields(
            command, memory_bytes=self.told.memory_bytes
        )

    def discard(self) -> None:
        """End it, unless it has ended, and release what it held."""
        self.connection.close()
        self.process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        # One that hangs in the kernel is left behind.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_S)


def spawn() -> Spawned:
    """Start an engine.

    Raises:
        OSError: That can't be had, such as for want of memory.
    """
    begun = time.monotonic()
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own program
                (sys.executable, "-P", "-m", "edgeassist.engine", str(theirs.fileno()), str(os.getpid())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(os.environ),
            )
        except BaseException:
            ours.close()
            raise
    return Spawned(process, ours, begun)


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return an engine's environment, given the daemon's.

    It needs none of the daemon's settings, and the password is one of them. When it fails, ggml would have a
    debugger that is installed attach to it, for seconds, and write its back trace over the reason. NumPy only
    holds arrays there, and would begin a thread for each other core, which waits busily at first.
    """
    kept = {key: value for key, value in ours.items() if not key.startswith("EDGEASSIST_")}
    return {"OPENBLAS_NUM_THREADS": "1", **kept, "GGML_NO_BACKTRACE": "1"}
