"""One engine from its start to its end: what it says, whether it moves, and why it ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from edgeassist.engine.messages import (
    Command,
    Delta,
    Encoding,
    Event,
    Loading,
    Log,
    ModelFacts,
    Ready,
    Unusable,
    decode_event,
)
from edgeassist.supervision.process import EngineProcess
from edgeassist.supervision.spawning import Spawned

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds: the longest silence while loading and while serving, and the longest restart delay."""

    load_s: float
    stall_s: float
    restart_max_s: float


class Cause(Enum):
    """Why an engine ended that was not asked to."""

    DIED = auto()  # or hung, or sent what is no event
    WRONG_CPU = auto()  # died of an instruction that the CPU lacks: the next one would too
    UNUSABLE = auto()  # reported that the model can't be used
    NOT_NOW = auto()  # reported that the model can't be used for now


@dataclass(frozen=True, slots=True)
class End:
    """How an engine ended that was not asked to, and why, in words for a person."""

    cause: Cause
    reason: str


class Engine:
    """A running engine. Made by `start`; `close` has to be called in the end.

    Args:
        patience: When to give up on it.
        on_event: Called for each event about its requests.
        on_ready: Called once the model is loaded.

    Attributes:
        on_loading: Called with the fraction that is loaded.
        model: None until it is ready.
        load_ms: How long the model took to load, as the engine says.
        took_s: How long that took from the engine's start.
        closed: Set once it was closed.
        silent: Whether nothing more of what it says is passed on, but its log: it is to end.
        begun: When its process began, by the monotonic clock.
        last_sign: When it said something last, by the monotonic clock.
    """

    _process: EngineProcess

    def __init__(
        self, patience: Patience, *, on_event: Callable[[Event], None], on_ready: Callable[[], None]
    ) -> None:
        self._patience = patience
        self._on_event = on_event
        self._on_ready = on_ready
        self._refusal: Unusable | None = None
        # When it began with the prompt that it is encoding.
        self._encoding_since: float | None = None
        self.on_loading: Callable[[float], None] = lambda _fraction: None
        self.closed = asyncio.Event()
        self.silent = False
        self.begun = self.last_sign = time.monotonic()
        self.model: ModelFacts | None = None
        self.load_ms: float | None = None
        self.took_s: float | None = None

    @classmethod
    async def start(
        cls,
        patience: Patience,
        *,
        on_event: Callable[[Event], None],
        on_ready: Callable[[], None],
        spawned: Spawned | None = None,
    ) -> Engine:
        """Start its process, unless that has begun already; it waits for `Load`.

        Raises:
            OSError: That can't be had, such as for want of memory.
        """
        engine = cls(patience, on_event=on_event, on_ready=on_ready)
        if spawned is not None:
            engine.begun = spawned.begun
        engine._process = await EngineProcess.spawn(engine._take, spawned)
        return engine

    @property
    def ready(self) -> bool:
        """Whether its model is loaded."""
        return self.model is not None

    @property
    def ended(self) -> bool:
        """Whether it closed its end of the pipe, or sent what can't be taken."""
        return self._process.ended.done()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def memory_bytes(self) -> int | None:
        """Its resident memory; None once it has exited."""
        return self._process.memory_bytes

    @property
    def private_bytes(self) -> int:
        """What of that its end frees."""
        return self._process.private_bytes

    @property
    def mapped_bytes(self) -> int:
        """What of that is in use, although it counts as available."""
        return self._process.mapped_bytes

    def send(self, command: Command) -> None:
        """Send a command; dropped once it is gone."""
        self._process.send(command)

    async def watch(self, wake: asyncio.Event) -> str | None:
        """Wait until it ended or `wake` is set (None), or it can't be kept (the reason)."""
        ended = self._process.ended
        woken = asyncio.create_task(wake.wait(), name="engine-wake")
        either: list[asyncio.Future[Any]] = [ended, woken]
        try:
            while not ended.done() and not wake.is_set():
                patience = self._patience.stall_s if self.ready else self._patience.load_s
                # An engine that hangs on one prompt goes on giving signs of life.
                since = self.last_sign if self._encoding_since is None else self._encoding_since
                left = min(since, self.last_sign) + patience - time.monotonic()
                if left <= 0:
                    reading = "reading a prompt" if since < self.last_sign else "serving"
                    doing = reading if self.ready else "loading"
                    return f"the engine made no progress for {patience:g} s while {doing} and was replaced"
                # It may become ready meanwhile, and then there is less patience.
                timeout = min(left, self._patience.stall_s)
                await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            return ended.result() if ended.done() else None
        finally:
            woken.cancel()

    async def find_end(self, problem: str | None) -> End:
        """Return why it ended without being asked, or, with a problem, has to be killed."""
        if problem is not None:
            self._process.kill()
        status = await self._process.exit_status()
        if self._refusal is not None:
            cause = Cause.NOT_NOW if self._refusal.for_now else Cause.UNUSABLE
            return End(cause, self._refusal.message)
        wrong_cpu = not self.ready and status == -signal.SIGILL
        return End(Cause.WRONG_CPU if wrong_cpu else Cause.DIED, problem or self._process.explain(status))

    async def stop(self) -> None:
        """Let it end after the current step; one that does not, or still loads, is killed."""
        if not self.ready:  # it reads no command until the model is loaded
            self._process.kill()
        await self._process.stop()

    async def gone(self) -> None:
        """Wait until it has exited, or was left behind."""
        await self._process.gone()

    async def close(self) -> None:
        """Kill it if it still runs, and release what it held."""
        try:
            await self._process.close()
        finally:
            self.closed.set()

    def _take(self, line: bytes) -> str | None:
        """Take an event; return why this engine can't be kept, or None."""
        try:
            event = decode_event(line)
        except ValueError as error:
            return f"the engine sent what is no event: {error}"
        self.last_sign = time.monotonic()
        match event:
            case Delta() if not self.silent:  # by far the most frequent
                self._pass_on(event)
            case Log(level=level, logger=name, message=message):
                logging.getLogger(name).log(logging.getLevelName(level.value), "%s", message)
            case _ if self.silent:
                pass
            case Encoding(done=done):
                self._encoding_since = None if done else self.last_sign
                self._pass_on(event)
            case Ready(model=model, load_ms=load_ms):
                self.model, self.load_ms, self.took_s = model, load_ms, self.last_sign - self.begun
                self._on_ready()
            case Unusable(message=message):
                self._refusal = event
                return message
            case Loading(fraction=fraction):
                log.debug("loading: %.0f %%", fraction * 100)
                self.on_loading(fraction)
            case _:
                self._pass_on(event)
        return None

    def _pass_on(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:  # a bug in one request's handling must not end all the others
            log.exception("an event of the engine could not be handled: %s", event)
