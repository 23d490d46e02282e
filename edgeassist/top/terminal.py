"""The terminal: keys, its size, and writing without waiting for a slow line."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
from types import TracebackType
from typing import Any, Self

from edgeassist.errors import ConfigurationError
from edgeassist.top.painter import ENTER, LEAVE

# How long leaving waits for a line that takes nothing.
_LEAVE_S = 0.5
_READ = 1024
_LFLAG, _CC = 3, 6
# The terminal that this process belongs to.
_OWN = "/dev/tty"


def _open(descriptor: int) -> int:
    # By its name, where that is known here; after `su` it may belong to somebody else.
    paths = [_OWN]
    with contextlib.suppress(OSError):
        paths.insert(0, os.ttyname(descriptor))
    problem: OSError | None = None
    for path in paths:
        try:
            return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            problem = error
    raise ConfigurationError(f"the terminal can't be opened ({problem}): --once needs none")


class Terminal:
    """A context manager that has the terminal to itself, and gives it back as it was.

    It is opened anew, so that writing without waiting does not change how the shell writes.

    Args:
        descriptor: Of a terminal, such as standard output's.

    Raises:
        ConfigurationError: It can't be opened.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = _open(descriptor)
        self._before: list[Any] = termios.tcgetattr(self._descriptor)
        self._unwritten = b""

    def __enter__(self) -> Self:
        """Take it."""
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back, and close it."""
        self.leave()
        os.close(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor, for the event loop."""
        return self._descriptor

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(self._descriptor)
            if size.columns and size.lines:
                return size.columns, size.lines
        return 80, 24

    @property
    def busy(self) -> bool:
        """Whether the line has not taken all yet."""
        return bool(self._unwritten)

    def enter(self) -> None:
        """Begin: keys one by one and not shown, the alternate screen."""
        mode = list(self._before)
        mode[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
        mode[_CC] = list(mode[_CC])
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self._descriptor, termios.TCSANOW, mode)
        self._unwritten = b""
        self.write(ENTER)

    def leave(self) -> None:
        """End: as it was, what is typed and not read forgotten; also where the line is gone."""
        self._unwritten += LEAVE
        until = time.monotonic() + _LEAVE_S
        with contextlib.suppress(OSError):
            while self.busy and (left := until - time.monotonic()) > 0:
                select.select([], [self._descriptor], [], left)
                self.flush()
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def write(self, data: bytes) -> None:
        """Write, or keep what the line does not take now (`flush`)."""
        self._unwritten += data
        self.flush()

    def flush(self) -> None:
        """Write what is left, as far as the line takes it.

        Raises:
            OSError: The terminal is gone.
        """
        with contextlib.suppress(BlockingIOError):
            while self._unwritten:
                self._unwritten = self._unwritten[os.write(self._descriptor, self._unwritten) :]

    def read(self) -> bytes | None:
        """Return what was typed; None where the terminal is gone."""
        try:
            return os.read(self._descriptor, _READ) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None
