"""A daemon that began with its modules loaded has those of an engine, too: its first engine is a fork of it.

That saves a quarter of a second of processor each time. What is forked is that daemon's child, and has just
the files and the command line that another would have. The next engine, when the daemon has threads, is
started as usual.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import os
import runpy
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from edgeassist.supervision import spawning


class _Forked(subprocess.Popen[bytes]):
    """As any other, but for how the process comes to be."""

    # What `subprocess.Popen` calls to start it, with all that was asked for.
    def _execute_child(self, *given: Any) -> None:
        usual = super()._execute_child  # type: ignore[misc]
        if threading.active_count() > 1:
            usual(*given)
            return
        asked = SimpleNamespace(**inspect.signature(usual).bind(*given).arguments)
        pipes = (asked.p2cread, asked.p2cwrite, asked.c2pread, asked.c2pwrite, asked.errread, asked.errwrite)
        pid = os.fork()
        if pid == 0:
            os.environ.clear()
            os.environ.update(asked.env)
            become(asked.args, (asked.p2cread, asked.c2pwrite, asked.errwrite), asked.pass_fds)
        self.pid = pid
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def become(command: Sequence[str], standard: Sequence[int], kept: Iterable[int]) -> NoReturn:
    """Be an engine to the end of this process.

    Args:
        command: `python -P -m MODULE ARGUMENT...`
        standard: What is its input, output and errors.
        kept: Which other files it has.
    """
    status = 1
    try:
        for place, file in enumerate(standard):
            os.dup2(file, place)
        ours = {0, 1, 2, *kept}
        for file in [int(each.name) for each in Path("/proc/self/fd").iterdir()]:
            if file not in ours:
                os.closerange(file, file + 1)
        atexit._clear()
        gc.enable()
        _show(command)
        module, sys.argv[1:] = command[3], command[4:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - as Python tells it
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _show(command: Sequence[str]) -> None:
    """Have that command line in /proc: in the place of that of the server, which is longer."""
    # proc(5): where it begins and ends, behind a name that may hold anything.
    places = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47]
    start, end = map(int, places)
    line = b"\0".join(map(os.fsencode, command))[: end - start - 1]
    with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
        memory.seek(start)
        memory.write(line.ljust(end - start, b"\0"))


def fork_the_first() -> None:
    """Let this process, a daemon that is about to begin, do so."""
    vars(spawning)["subprocess"] = SimpleNamespace(**{**vars(subprocess), "Popen": _Forked})
