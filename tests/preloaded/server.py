"""Has imported what `python -m edgeassist` imports, and forks itself for each that is asked for.

Each packet is a wish: to start one, with the file that its output goes to (answered by its process id, and a
pidfd), or to tell how one has ended. There is one thread.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import socket
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

# What a daemon has imported before it reads a setting.
MODULES = ("edgeassist.cli.main", "edgeassist.cli.run", "edgeassist.daemon.app")
# The longest wish: an environment.
_PACKET_BYTES = 1 << 20


@dataclass(frozen=True)
class Wish:
    """What a fork is to become."""

    arguments: list[str]
    folder: str
    environ: dict[str, str]


def serve(control: socket.socket) -> tuple[Wish, int] | None:
    """Fork until nobody can ask any more; return in each fork, with its wish and the file for its output."""
    alive: set[int] = set()
    while True:
        data, files, _, _ = socket.recv_fds(control, _PACKET_BYTES, 1)
        if not data:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            return None
        asked: dict[str, Any] = json.loads(data)
        if "ended" in asked:
            _, status = os.waitpid(asked["ended"], 0)
            alive.discard(asked["ended"])
            control.send(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            return Wish(**asked), files[0]
        alive.add(pid)
        handle = os.pidfd_open(pid)
        socket.send_fds(control, [b"%d" % pid], [handle])
        os.close(handle)
        os.close(files[0])


def become(wish: Wish, output: int) -> None:
    """Have its session, environment, folder, arguments and output; input is that of the server, none."""
    os.setsid()
    os.environ.clear()
    os.environ.update(wish.environ)
    os.chdir(wish.folder)
    sys.argv[1:] = wish.arguments
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)


def main() -> None:
    """Serve; in a fork, run the program, whose end is that of the process."""
    gc.disable()
    for name in MODULES:
        import_module(name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        given = serve(control)
    if given is not None:
        become(*given)
        gc.enable()
        runpy.run_module("edgeassist", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
