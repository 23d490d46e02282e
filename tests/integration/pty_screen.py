"""A command on a terminal, as a person has it: what is on the screen, keys, another size of the window."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import pyte

from tests.patience import PATIENCE_S


class PtyScreen:
    """`edgeassist …` on a pseudo-terminal, and a terminal emulator that reads it. A context manager.

    Args:
        arguments: Of the command.
        environ: Its settings, and more of its environment.
        columns: Of the window.
        lines: Of the window.

    Attributes:
        written: All that it has written.
    """

    def __init__(
        self, *arguments: str, environ: Mapping[str, str], columns: int = 80, lines: int = 24
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._terminal, self._its_end = pty.openpty()
        self._set_size(columns, lines)
        self._before = termios.tcgetattr(self._its_end)
        self.written = b""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            inherited.pop(name, None)
        # Its controlling terminal, so that Ctrl-C and Ctrl-Z reach it as signals.
        become = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
        program = (
            f"{become}; os.execv(sys.executable, [sys.executable, '-P', '-m', 'edgeassist', *sys.argv[1:]])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=self._its_end,
            stdout=self._its_end,
            stderr=self._its_end,
            env={**inherited, "TERM": "xterm-256color", **environ},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        self.hang_up()
        os.close(self._its_end)

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def mode_is_as_before(self) -> bool:
        """Whether the terminal is in the mode in which the command found it."""
        return termios.tcgetattr(self._its_end) == self._before

    def until(self, there: Callable[[list[str]], Any]) -> list[str]:
        """Read until that is on the screen; return it."""
        end = time.monotonic() + PATIENCE_S
        while not there(self.lines):
            left = end - time.monotonic()
            shown = "\n".join(self.lines)
            assert left > 0, f"it is not on the screen:\n{shown}"
            assert self._read(min(left, 1.0)) or self.process.poll() is None, f"it has ended:\n{shown}"
        return self.lines

    def shows(self, pattern: str) -> list[str]:
        """Read until a line matches; return all lines."""
        return self.until(lambda lines: any(re.search(pattern, line) for line in lines))

    def misses(self, pattern: str) -> list[str]:
        """Read until no line matches; return all lines."""
        return self.until(lambda lines: not any(re.search(pattern, line) for line in lines))

    def types(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def resizes(self, columns: int, lines: int) -> None:
        """Change the window."""
        self._screen.resize(lines, columns)
        self._set_size(columns, lines)

    def hang_up(self) -> None:
        """Close the window."""
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def ends(self) -> int:
        """Read all until it has ended; return its exit status."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.05)
        status = self.process.wait(max(0.0, end - time.monotonic()))
        while self._read(0.0):
            pass
        return status

    def _read(self, wait_s: float) -> bool:
        if self._terminal < 0 or not select.select([self._terminal], [], [], wait_s)[0]:
            return False
        data = os.read(self._terminal, 65536)
        self.written += data
        self._stream.feed(data)
        return bool(data)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
