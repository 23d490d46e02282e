"""The engine process: spawn it, watch it, and replace one that died or stopped making progress."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import psutil

from edgeassist.engine.messages import (
    Command,
    Event,
    Load,
    Loading,
    Log,
    ModelFacts,
    Ready,
    Stop,
    Unusable,
    decode_event,
    encode,
)
from edgeassist.supervision.pipe import Pipe

log = logging.getLogger(__name__)
output_log = logging.getLogger("edgeassist.engine.output")

FIRST_RESTART_S = 0.5
# An engine that served for so long is not in a loop of crashes.
STABLE_S = 60.0
EXIT_WAIT_S = 5.0
LAST_WORDS = 5


class Phase(Enum):
    """Where the engine is in its life."""

    DOWN = auto()
    LOADING = auto()
    READY = auto()
    WAITING = auto()
    UNUSABLE = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, the engine may be silent, and the longest wait before it is started again."""

    load_s: float
    stall_s: float
    restart_max_s: float


class Supervisor:
    """Keeps one engine running.

    Args:
        load: Makes what a new engine is told first.
        patience: When to give up on one.
        on_event: Called for what a ready engine says about requests.
        on_change: Called when `phase` changed.
        on_lost: Called, with the reason, when a ready engine is gone.
    """

    def __init__(
        self,
        load: Callable[[], Load],
        patience: Patience,
        *,
        on_event: Callable[[Event], None],
        on_change: Callable[[Phase], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._load = load
        self._patience = patience
        self._on_event = on_event
        self._on_change = on_change
        self._on_lost = on_lost
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: Pipe | None = None
        self._last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self._last_sign = time.monotonic()
        self._stopping = asyncio.Event()
        self.phase = Phase.DOWN
        self.model: ModelFacts | None = None
        self.load_ms: float | None = None
        self.problem: str | None = None
        self.restarts = 0

    async def run(self) -> None:
        """Start engines, one after the other, until `stop`."""
        delay = FIRST_RESTART_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            problem = await self._live()
            was_ready = self.phase is Phase.READY
            if self._stopping.is_set():
                break
            unusable = self.phase is Phase.UNUSABLE
            log.error("%s", problem)
            self.problem = problem
            self._set_phase(Phase.UNUSABLE if unusable else Phase.WAITING)
            if was_ready:
                self._on_lost(problem)
            if was_ready and time.monotonic() - begun > STABLE_S:
                delay = FIRST_RESTART_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.5, 1) * delay):  # noqa: S311 - spreads load only
                    await self._stopping.wait()
            delay = min(delay * 2, self._patience.restart_max_s)
            self.restarts += 1
        self._set_phase(Phase.DOWN)

    def send(self, command: Command) -> None:
        """Tell the engine; without one, the command is lost, as its addressee is."""
        if self._pipe is not None:
            self._pipe.write(encode(command))

    async def stop(self) -> None:
        """End the engine, by force where it does not listen."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        if self.phase is Phase.LOADING:  # deaf until the model is there
            self._kill()
        self.send(Stop())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_WAIT_S):
                await process.wait()
        self._kill()

    @property
    def makes_progress(self) -> bool:
        """Whether the engine gave a sign of life lately, or is being replaced; the watchdog asks."""
        patience = self._patience.load_s if self.phase is not Phase.READY else self._patience.stall_s
        return time.monotonic() - self._last_sign < 2 * patience + self._patience.restart_max_s

    @property
    def pid(self) -> int | None:
        """The engine's process; None without one."""
        return None if self._process is None else self._process.pid

    @property
    def memory_bytes(self) -> int | None:
        """The engine's resident memory; None without one."""
        if self._process is None:
            return None
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return None

    async def _live(self) -> str:
        """Spawn an engine, attend to it until it ends, and return why it did."""
        process, ours = await self._spawn()
        self._process = process
        if self._stopping.is_set():  # told so while the process was being made
            self._kill()
        loop = asyncio.get_running_loop()
        _, pipe = await loop.create_connection(lambda: Pipe(self._take), sock=ours)
        self._pipe = pipe
        self._sign_of_life(Phase.LOADING)
        self._last_words.clear()
        listener = asyncio.create_task(self._listen(process), name="engine-output")
        try:
            self.send(self._load())
            problem = await self._attend(pipe)
            if problem is not None:
                self._kill()
            status = await self._bury(process)
            if self.phase is Phase.LOADING and status == -signal.SIGILL:
                self.phase = Phase.UNUSABLE  # the next engine would meet the same instruction
            return problem or self._obituary(status)
        finally:
            self._kill()
            pipe.close()
            self._pipe = None
            self._process = None
            await listener
            await process.wait()

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """Start an engine; return it with our end of its pipe."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(
                        sys.executable,
                        "-P",
                        "-m",
                        "edgeassist.engine",
                        str(theirs.fileno()),
                        str(os.getpid()),
                    ),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    # The engine has no use for the daemon's settings, and the password is among them.
                    env={
                        key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")
                    },
                )
            except BaseException:
                ours.close()
                raise
        return process, ours

    async def _attend(self, pipe: Pipe) -> str | None:
        """Wait until the engine is silent for too long (the reason) or its end is reached (None)."""
        while not pipe.ended.done():
            loading = self.phase is Phase.LOADING
            patience = self._patience.load_s if loading else self._patience.stall_s
            left = self._last_sign + patience - time.monotonic()
            if left <= 0:
                doing = "loading" if loading else "serving"
                return f"the engine made no progress for {patience:g} s while {doing} and was replaced"
            # An engine that is loaded meanwhile is waited for with less patience.
            await asyncio.wait([pipe.ended], timeout=min(left, self._patience.stall_s))
        return pipe.ended.result()

    def _take(self, line: bytes) -> str | None:
        """Take an event; return what makes this engine useless, if that is so."""
        try:
            event = decode_event(line)
        except ValueError as error:
            return f"the engine sent what is no event: {error}"
        self._last_sign = time.monotonic()
        match event:
            case Ready(model=model, load_ms=load_ms):
                self.model, self.load_ms, self.problem = model, load_ms, None
                self._set_phase(Phase.READY)
            case Unusable(message=message, for_now=for_now):
                self.phase = self.phase if for_now else Phase.UNUSABLE
                return message
            case Log(level=level, logger=name, message=message):
                logging.getLogger(name).log(logging.getLevelName(level.value), "%s", message)
            case Loading(fraction=fraction):
                log.debug("loading: %.0f %%", fraction * 100)
            case _:
                try:
                    self._on_event(event)
                except Exception:  # a defect over one request must not end all the others
                    log.exception("an event of the engine could not be handled: %s", event)
        return None

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Log what native code prints, and keep the last of it to explain a crash."""
        stream = process.stdout
        while stream is not None:
            try:
                line = await stream.readline()
            except ValueError:  # a line longer than the reader's limit
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_words.append(text)
            output_log.info("%s", text)

    async def _bury(self, process: asyncio.subprocess.Process) -> int | None:
        """Return the exit status of a process whose pipe is closed; it is killed if it lingers."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_WAIT_S):
                return await process.wait()
        self._kill()
        return await process.wait()

    def _obituary(self, status: int | None) -> str:
        died = f"exit status {status}"
        if status is not None and status < 0:
            with contextlib.suppress(ValueError):
                died = f"signal {signal.Signals(-status).name}"
            if -status == signal.SIGKILL:
                died += " (killed by somebody, or by the kernel for want of memory)"
            elif -status == signal.SIGILL:
                died += (
                    " (an instruction that this CPU lacks: build llama-cpp-python on this device; for an "
                    "ONNX model, install an older onnxruntime or choose a GGUF file)"
                )
        words = f": {' | '.join(self._last_words)}" if self._last_words else ""
        return f"the engine ended with {died}{words}"

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _sign_of_life(self, phase: Phase) -> None:
        self._last_sign = time.monotonic()
        self._set_phase(phase)

    def _set_phase(self, phase: Phase) -> None:
        self.phase = phase
        self._on_change(phase)
