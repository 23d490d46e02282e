"""What a process has started ends with it, however it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeassist.sandbox import PrivateProcess
from tests.patience import PATIENCE_S

# Starts as many as it is told to, says their ids, and waits to be killed.
PARENT = """
import signal, sys
from pathlib import Path
from edgeassist.sandbox import PrivateProcess

class Child(PrivateProcess):
    def start(self, command):
        self._start(command)

children = [Child(Path(sys.argv[1]) / f"{number}.log") for number in range(2)]
children[0].start(["sleep", "1000"])
told = "trap 'echo asked >asked; exit' TERM; echo ready >ready; while :; do sleep 0.05; done"
children[1].start(["sh", "-c", told])
print(*(child.pid for child in children), flush=True)
signal.pause()
"""
# Likewise, with one child, and a fork that lives longer.
FORKING = """
import os, signal, sys
from pathlib import Path
from edgeassist.sandbox import PrivateProcess

class Child(PrivateProcess):
    def start(self):
        self._start(["sleep", "1000"])

child = Child(Path(sys.argv[1]) / "log")
child.start()
if os.fork() == 0:
    print(child.pid, os.getpid(), flush=True)
signal.pause()
"""


def ends(handle: int) -> bool:
    """Wait for the end of a process by its pidfd."""
    return bool(select.select([handle], [], [], PATIENCE_S)[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_a_parent_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=environ,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout as said:
        handles = [os.pidfd_open(int(pid)) for pid in said.readline().split()]
    while not (tmp_path / "ready").exists():
        assert not select.select(handles, [], [], 0.01)[0]
    parent.send_signal(number)
    parent.wait(PATIENCE_S)
    for handle in handles:
        assert ends(handle)
        os.close(handle)
    # One that has something to finish is asked to before it is killed.
    assert (tmp_path / "asked").exists()


def test_children_end_with_their_parent_also_where_a_fork_of_it_lives_on(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path)], stdout=subprocess.PIPE, env=environ, text=True
    )
    assert parent.stdout is not None
    with parent.stdout as said:
        child, fork = (os.pidfd_open(int(pid)) for pid in said.readline().split())
    parent.kill()
    parent.wait(PATIENCE_S)
    try:
        assert ends(child)
        assert not select.select([fork], [], [], 0)[0]
    finally:
        signal.pidfd_send_signal(fork, signal.SIGKILL)
        for handle in (child, fork):
            os.close(handle)


def test_one_who_was_killed_beside_them_is_replaced(tmp_path: Path) -> None:
    class Child(PrivateProcess):
        def start(self) -> None:
            self._start(["sleep", "1000"])

    child = Child(tmp_path / "log")
    child.start()
    ours = str(os.getpid()).encode()
    lines = {path: _line_of(path).split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline")}
    [beside] = [int(path.parent.name) for path, words in lines.items() if _is_beside(words, ours)]
    handle = os.pidfd_open(beside)
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    assert ends(handle)
    os.close(handle)
    assert child.stop() == -signal.SIGTERM
    child.start()
    assert child.running
    assert child.stop() == -signal.SIGTERM


def test_a_child_that_can_not_be_watched_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles: list[int] = []

    def refuse(pid: int) -> None:
        handles.append(os.pidfd_open(pid))
        raise OSError

    class Child(PrivateProcess):
        def start(self) -> None:
            self._start(["sleep", "1000"])

    monkeypatch.setattr("edgeassist.sandbox.watch", refuse)
    child = Child(tmp_path / "log")
    with pytest.raises(OSError, match=r"^$"):
        child.start()
    [handle] = handles
    assert ends(handle)
    os.close(handle)
    assert not child.running


def _is_beside(words: list[bytes], whose: bytes) -> bool:
    return len(words) > 3 and words[-4].endswith(b"orphans.py") and words[-2] == whose


def _line_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
