"""One engine process: start it, talk to it, end it, and say how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable

import psutil

from edgeassist.engine.messages import Command, Stop, encode
from edgeassist.supervision.last_words import LastWords
from edgeassist.supervision.pipe import Pipe
from edgeassist.supervision.spawning import Spawned, spawn

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

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        pipe: Pipe,
        output: asyncio.StreamReader,
        close_output: Callable[[], None],
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._output = output
        self._close_output = close_output
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._last_words = LastWords()
        self._listener = asyncio.create_task(self._listen(), name="engine-output")
        # One that hangs in the kernel never ends, and must not keep us.
        threading.Thread(target=self._wait, name="engine-exit", daemon=True).start()
        self.ended = pipe.ended

    @classmethod
    async def spawn(
        cls, take: Callable[[bytes], str | None], spawned: Spawned | None = None
    ) -> EngineProcess:
        """Start an engine.

        Args:
            take: Called for each line that it sends; returns what is wrong with it, or None.
            spawned: One that has begun already.

        Raises:
            OSError: That can't be had, such as for want of memory.
        """
        spawned = spawned or spawn()
        loop = asyncio.get_running_loop()
        output = asyncio.StreamReader()
        try:
            listening, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(output), spawned.process.stdout
            )
            try:
                _, pipe = await loop.create_connection(lambda: Pipe(take), sock=spawned.connection)
            except BaseException:
                listening.close()
                raise
        except BaseException:
            spawned.discard()
            raise
        return cls(spawned.process, pipe, output, listening.close)

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
                    return await asyncio.shield(self._exited)
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
        self._close_output()

    def explain(self, status: int) -> str:
        """Say how it ended, in one sentence for a person, with what it printed."""
        return explain_exit(status, self._last_words.quoted())

    def _wait(self) -> None:
        """Wait for its end, in a thread."""
        status = self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._exited.get_loop().call_soon_threadsafe(self._note_exit, status)

    def _note_exit(self, status: int) -> None:
        if not self._exited.done():
            self._exited.set_result(status)

    async def _listen(self) -> None:
        """Log what native code prints, and keep what explains its end."""
        while True:
            try:
                line = await self._output.readline()
            except ValueError:  # a line longer than the reader's limit
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_words.add(text)
            output_log.info("%s", text)


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
