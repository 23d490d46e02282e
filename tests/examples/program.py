"""A program under test: its output as it comes, its input line by line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Self

WAIT_S = 60.0
_PIPE = asyncio.subprocess.PIPE


class Program:
    """Runs inside its `async with`; killed at the end, if it is still there.

    Args:
        *command: Program and arguments.
        cwd: Its folder.
        environ: More of its environment.

    Attributes:
        output: What it has printed so far, errors included.
    """

    def __init__(
        self, *command: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._cwd = cwd
        self._environ = {**os.environ, **(environ or {})}
        self._news = asyncio.Event()
        self._read = 0
        self.output = ""

    async def __aenter__(self) -> Self:
        self._child = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._cwd,
            env=self._environ,
            stdin=_PIPE,
            stdout=_PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._listening = asyncio.create_task(self._listen(), name="program")
        return self

    async def __aexit__(self, *_: object) -> None:
        # The whole session, because a script's own children hold its output open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        await self._child.wait()
        await self._listening

    def say(self, line: str) -> None:
        """Type a line."""
        assert self._child.stdin is not None
        self._child.stdin.write(line.encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program, and as a terminal does, to its children."""
        os.killpg(self._child.pid, number)

    async def until(self, text: str, wait_s: float = WAIT_S) -> str:
        """Wait until it prints that; return what came up to there since the last call."""
        async with asyncio.timeout(wait_s):
            while (at := self.output.find(text, self._read)) < 0:
                assert not self._listening.done(), f"it ended without {text!r}: {self.output}"
                self._news.clear()
                await self._news.wait()
        begin, self._read = self._read, at + len(text)
        return self.output[begin : self._read]

    async def ended(self, wait_s: float = WAIT_S) -> tuple[int, str]:
        """Wait until it ends; return its exit status and all of its output."""
        async with asyncio.timeout(wait_s):
            status = await self._child.wait()
            await self._listening
        return status, self.output

    async def _listen(self) -> None:
        assert self._child.stdout is not None
        data = b""
        while piece := await self._child.stdout.read(4096):
            data += piece
            self.output = data.decode(errors="replace")
            self._news.set()
        self._news.set()
