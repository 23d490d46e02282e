"""Ends what this process has started when it has gone itself, killed as it may have been.

A small process beside it (this file, run as a program) holds a socket to it and a pidfd of each child. When
nobody holds the other end any more, it ends the children that are left. The kernel's PR_SET_PDEATHSIG would
also do so when only the thread ends that has started the child.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from threading import Lock

# Between SIGTERM and SIGKILL: Home Assistant writes what it knows.
_TERM_S = 10.0
_lock = Lock()


def watch(pid: int) -> None:
    """Have a child ended when this process has gone: with SIGTERM, and with SIGKILL after ten seconds.

    Args:
        pid: Of a child that nobody has waited for yet.

    Raises:
        OSError: The process beside it can't be started.
        subprocess.CalledProcessError: Likewise.
    """
    handle = os.pidfd_open(pid)
    try:
        with _lock:
            try:
                socket.send_fds(_guardian(), [b"."], [handle])
            except ConnectionError:  # somebody has killed it
                _guardian().close()
                _guardian.cache_clear()
                socket.send_fds(_guardian(), [b"."], [handle])
    finally:
        os.close(handle)


@cache
def _guardian() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.run(  # noqa: S603 - this file
            # Without site-packages, which take longer than all that it does. For whom it is, `ps` shows.
            [sys.executable, "-I", "-S", __file__, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            check=True,
        )
    return ours


# A fork that lives on would seem to be this process; it has a guardian of its own.
os.register_at_fork(after_in_child=_guardian.cache_clear)


def _guard(control: socket.socket) -> None:
    """Collect pidfds until nobody can send any more, then end these processes."""
    children: set[int] = set()
    while True:
        ready = set(select.select([control.fileno(), *children], [], [])[0])
        for ended in children & ready:
            children.discard(ended)
            os.close(ended)
        if control.fileno() in ready:
            data, handles, _, _ = socket.recv_fds(control, 1, 1)
            children.update(handles)
            if not data:
                break
    _signal(children, signal.SIGTERM)
    deadline = time.monotonic() + _TERM_S
    while children and (left := deadline - time.monotonic()) > 0:
        children.difference_update(select.select(list(children), [], [], left)[0])
    _signal(children, signal.SIGKILL)


def _signal(children: set[int], number: signal.Signals) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(child, number)


if __name__ == "__main__" and os.fork() == 0:  # nobody's child, so nobody waits for it
    _guard(socket.socket(fileno=int(sys.argv[1])))
