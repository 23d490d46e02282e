"""One engine process: start it, talk to it, end it, and say how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping

import psutil

from edgeassist.engine.messages import Command, Stop, encode
from edgeassist.supervision.last_words import LastWords
from edgeassist.supervision.pipe import Pipe

log = logging.getLogger(__name__)
output_log = logging.getLogger("edgeassist.engine.output")

EXIT_WAIT_S = 5.0
OUTPUT_WAIT_S = 1.0


class EngineProcess:
    """A running engine. Made by `spawn`; `close` has to be called in the end.

    Attributes:
        ended: Done when the engine closed its end of the pipe (None), or sent what `take` did not accept (the
            problem).
    """

    def __init__(self, process: asyncio.subprocess.Process, pipe: Pipe) -> None:
        self._process = process
        self._pipe = pipe
        self._last_words = LastWords()
        self._listener = asyncio.create_task(self._listen(), name="engine-output")
        self.ended = pipe.ended

    @classmethod
    async def spawn(cls, take: Callable[[bytes], str | None]) -> EngineProcess:
        """Start an engine.

        Args:
            take: Called for each line that it sends; returns what is wrong with it, or None.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await _start(theirs)
            except BaseException:
                ours.close()
                raise
        loop = asyncio.get_running_loop()
        try:
            _, pipe = await loop.create_connection(lambda: Pipe(take), sock=ours)
        except BaseException:
            process.kill()
            raise
        return cls(process, pipe)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def memory_bytes(self) -> int | None:
        """Its resident memory; None once it has exited."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return None

    @property
    def private_bytes(self) -> int:
        """What of that its end frees: without pages of files, which count as available anyway."""
        try:
            memory = psutil.Process(self.pid).memory_info()
            return max(0, int(memory.rss - memory.shared))
        except psutil.Error:
            return 0

    @property
    def mapped_bytes(self) -> int:
        """What of that is pages of files: in use, although it counts as available."""
        try:
            return int(psutil.Process(self.pid).memory_info().shared)
        except psutil.Error:
            return 0

    def send(self, command: Command) -> None:
        """Send a command; dropped once the engine is gone."""
        self._pipe.write(encode(command))

    def kill(self) -> None:
        """Send SIGKILL, unless it has exited."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self) -> None:
        """Let it end after the current step; it is killed if it takes longer than `EXIT_WAIT_S`."""
        self.send(Stop())
        await self.exit_status()

    async def exit_status(self) -> int:
        """Wait at most `EXIT_WAIT_S` for it to exit, then kill it; return the exit status.

        One that hangs in the kernel outlives SIGKILL; it is left behind after another `EXIT_WAIT_S`.
        """
        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EXIT_WAIT_S):
                    return await self._process.wait()
            self.kill()
        log.error("the engine, process %d, does not end after SIGKILL: it hangs in the kernel", self.pid)
        return -signal.SIGKILL

    async def gone(self) -> None:
        """Wait until it has exited, or was left behind (`exit_status`)."""
        await self.exit_status()

    async def close(self) -> None:
        """Kill it if it still runs, and release its pipe and its output."""
        self.kill()
        self._pipe.close()
        await self.exit_status()
        # The last lines that it printed; a grandchild may hold its output open.
        await asyncio.wait([self._listener], timeout=OUTPUT_WAIT_S)
        self._listener.cancel()

    def explain(self, status: int) -> str:
        """Say how it ended, in one sentence for a person, with what it printed."""
        return explain_exit(status, self._last_words.quoted())

    async def _listen(self) -> None:
        """Log what native code prints, and keep what explains its end."""
        stream = self._process.stdout
        while stream is not None:
            try:
                line = await stream.readline()
            except ValueError:  # a line longer than the reader's limit
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_words.add(text)
            output_log.info("%s", text)


async def _start(pipe: socket.socket) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "edgeassist.engine", str(pipe.fileno()), str(os.getpid())),
        pass_fds=[pipe.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(os.environ),
    )


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return an engine's environment, given the daemon's.

    It needs none of the daemon's settings, and the password is one of them. When it fails, ggml would have a
    debugger that is installed attach to it, for seconds, and write its back trace over the reason.
    """
    kept = {key: value for key, value in ours.items() if not key.startswith("EDGEASSIST_")}
    return {**kept, "GGML_NO_BACKTRACE": "1"}


def explain_exit(status: int, output: Iterable[str]) -> str:
    """Say how an engine ended, in one sentence for a person.

    Args:
        status: Its exit status; if negative, the signal that killed it.
        output: The lines that it printed which explain it.
    """
    how = f"exit status {status}"
    if status < 0:
        with contextlib.suppress(ValueError):  # real-time signals have no names
            how = f"signal {signal.Signals(-status).name}"
        if -status == signal.SIGKILL:
            how += " (killed by somebody, or by the kernel for want of memory)"
        elif -status == signal.SIGILL:
            how += (
                " (an instruction that this CPU lacks: build llama-cpp-python on this device; for an "
                "ONNX model, install an older onnxruntime or choose a GGUF file)"
            )
    printed = " | ".join(output)
    return f"the engine ended with {how}" + (f": {printed}" if printed else "")
