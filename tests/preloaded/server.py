"""Has imported the modules that it was told, and forks itself for each program that is asked for.

Each packet is a wish: to start one, with its files (answered by its process id, and a pidfd), or to
tell how one has ended. There is one thread.
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

# The longest wish: an environment.
_PACKET_BYTES = 1 << 20


@dataclass(frozen=True)
class Wish:
    """What a fork is to become.

    Attributes:
        number: Stands before the answer.
    """

    number: int
    module: str
    arguments: list[str]
    folder: str
    environ: dict[str, str]


def serve(control: socket.socket) -> tuple[Wish, list[int]] | None:
    """Fork until nobody can ask any more; return in each fork, with its wish and its files."""
    alive: set[int] = set()
    while True:
        data, files, _, _ = socket.recv_fds(control, _PACKET_BYTES, 4)
        if not data:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            return None
        asked: dict[str, Any] = json.loads(data)
        if "ended" in asked:
            _, status = os.waitpid(asked["ended"], 0)
            alive.discard(asked["ended"])
            control.send(b"%d %d" % (asked["number"], os.waitstatus_to_exitcode(status)))
            continue
        pid = os.fork()
        if pid == 0:
            return Wish(**asked), files
        alive.add(pid)
        handle = os.pidfd_open(pid)
        socket.send_fds(control, [b"%d %d" % (asked["number"], pid)], [handle])
        for each in (handle, *files):
            os.close(each)


def become(wish: Wish, files: list[int]) -> None:
    """Have its session, environment, folder, arguments and files."""
    os.setsid()
    os.environ.clear()
    os.environ.update(wish.environ)
    os.chdir(wish.folder)
    sys.argv[1:] = wish.arguments
    # None of them is below 3: those are the server's own.
    for place, file in enumerate(files):
        if file != place:
            os.dup2(file, place)
            os.close(file)


def main() -> None:
    """Serve; in a fork, run the program, whose end is that of the process."""
    gc.disable()
    for name in sys.argv[2:]:
        import_module(name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        given = serve(control)
    if given is not None:
        wish, files = given
        become(wish, files)
        gc.enable()
        if engines := sys.modules.get("tests.preloaded.engines"):
            engines.fork_the_first()
        runpy.run_module(wish.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
