"""Keeps an engine running: watches it, and replaces one that died, hung or is no longer wanted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
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
    Load,
    Loading,
    Log,
    ModelFacts,
    Ready,
    Unusable,
    decode_event,
)
from edgeassist.supervision.process import EngineProcess

log = logging.getLogger(__name__)

FIRST_RESTART_S = 0.5
# An engine that served this long is not in a crash loop: the next delay is the shortest again.
STABLE_S = 60.0


class Phase(Enum):
    """Where the engine is in its life.

    `DOWN`: not started, stopped, or being replaced on purpose. `WAITING`: it ended, and the next start is
    delayed. `UNUSABLE`: as `WAITING`, and the model can't be used as it is.
    """

    DOWN = auto()
    LOADING = auto()
    READY = auto()
    WAITING = auto()
    UNUSABLE = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds: the longest silence while loading and while serving, and the longest restart delay."""

    load_s: float
    stall_s: float
    restart_max_s: float


@dataclass(frozen=True, slots=True)
class Loss:
    """A ready engine is gone, with all requests that it was working on.

    Attributes:
        reason: Why, in words for a person.
        planned: True after `Supervisor.replace`; False if it died or hung.
    """

    reason: str
    planned: bool


class _Cause(Enum):
    DIED = auto()  # or hung, or sent what is no event
    WRONG_CPU = auto()  # died of an instruction that the CPU lacks: the next one would too
    UNUSABLE = auto()  # reported that the model can't be used
    NOT_NOW = auto()  # reported that the model can't be used for now
    ASKED = auto()  # by `stop` or `replace`


@dataclass(frozen=True, slots=True)
class _End:
    cause: _Cause
    reason: str


class Supervisor:
    """Keeps one engine running.

    Args:
        load: Returns the first command for a new engine; called once for each.
        patience: When to give up on an engine.
        on_event: Called for each event of a ready engine about its requests.
        on_change: Called when `phase` changed.
        on_lost: Called when a ready engine is gone, unless `stop` ended it. `on_event` is not called for that
            engine any more.

    Attributes:
        model: Of the engine that was ready last; None before the first, and after `replace`.
        load_ms: How long it took to load.
        problem: Why there is no engine; None once one is ready, and after `replace`.
        restarts: How many engines died or hung, while loading or later. Those that reported an unusable model
            or too little memory, and those that `replace` or `stop` ended, do not count.
    """

    def __init__(
        self,
        load: Callable[[], Load],
        patience: Patience,
        *,
        on_event: Callable[[Event], None],
        on_change: Callable[[Phase], None],
        on_lost: Callable[[Loss], None],
    ) -> None:
        self._load = load
        self._patience = patience
        self._on_event = on_event
        self._on_change = on_change
        self._on_lost = on_lost
        self._engine: EngineProcess | None = None
        self._refusal: Unusable | None = None
        self._last_sign = time.monotonic()
        # When it began with the prompt that it is encoding.
        self._encoding_since: float | None = None
        # Set by `stop` and `replace`: ends the watch over an engine, and the delay before the next one.
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._replacing: str | None = None
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
            end = await self._run_engine()
            if self._stopping.is_set():
                break
            if end.cause is not _Cause.ASKED:
                if self.phase is Phase.READY and time.monotonic() - begun > STABLE_S:
                    delay = FIRST_RESTART_S
                self._report(end)
                await self._pause(random.uniform(0.5, 1) * delay)  # noqa: S311 - spreads load only
                delay = min(delay * 2, self._patience.restart_max_s)
            if self._replacing is not None:
                delay = FIRST_RESTART_S
        self._set_phase(Phase.DOWN)

    def send(self, command: Command) -> None:
        """Send a command; dropped if no engine is running."""
        if self._engine is not None:
            self._engine.send(command)

    def replace(self, why: str) -> None:
        """End the engine, if there is one, and start the next without delay.

        The next one is given what `load` returns then. A ready engine may end its current step; it is killed
        if it takes too long. `phase` and `on_lost` tell of it soon, not within this call. Until the next
        engine is started, further calls change nothing.

        Args:
            why: The reason, for the log and for `on_lost`.
        """
        if self._stopping.is_set() or self._replacing is not None:
            return
        log.info("the engine is replaced: %s", why)
        self._replacing = why
        self._wake.set()

    async def stop(self) -> None:
        """Let `run` end, and wait until the engine has exited; it is killed if that takes too long."""
        self._stopping.set()
        self._wake.set()
        if self._engine is not None:
            await self._engine.gone()

    @property
    def makes_progress(self) -> bool:
        """Whether the engine gave a sign of life lately, or is being replaced; the watchdog asks."""
        patience = self._patience.load_s if self.phase is not Phase.READY else self._patience.stall_s
        return time.monotonic() - self._last_sign < 2 * patience + self._patience.restart_max_s

    @property
    def pid(self) -> int | None:
        """The engine's process id; None without one."""
        return None if self._engine is None else self._engine.pid

    @property
    def memory_bytes(self) -> int | None:
        """The engine's resident memory; None without one."""
        return None if self._engine is None else self._engine.memory_bytes

    async def _run_engine(self) -> _End:
        """Start an engine, watch it, and return once it has exited."""
        try:
            engine = self._engine = await EngineProcess.spawn(self._take)
        except OSError as error:  # such as no memory for another process
            # The next attempt is the replacement, after a pause like any other.
            self._replacing = None
            if not self._stopping.is_set():
                self._wake.clear()
            return _End(_Cause.NOT_NOW, f"the engine can't be started: {error.strerror or error}")
        try:
            if not self._stopping.is_set():
                self._begin()
            problem = await self._watch(engine)
            if problem is None and not engine.ended.done():
                await self._retire(engine)
                return _End(_Cause.ASKED, self._replacing or "the daemon stops")
            return await self._find_cause(engine, problem)
        finally:
            self._engine = None
            await engine.close()

    def _begin(self) -> None:
        """Have a new engine load the model. A replacement that was asked for until now is this one."""
        if self._replacing is not None:
            self._forget()
        self._replacing = None
        self._wake.clear()
        self._refusal = None
        self._last_sign = time.monotonic()
        self._encoding_since = None
        self._set_phase(Phase.LOADING)
        self.send(self._load())

    def _forget(self) -> None:
        """Take back what was told of the last engine: the next may have another model."""
        self.model = self.load_ms = self.problem = None

    async def _watch(self, engine: EngineProcess) -> str | None:
        """Wait until the engine ended or is to end (None), or can't be kept (the reason)."""
        wake = asyncio.create_task(self._wake.wait(), name="engine-wake")
        either: list[asyncio.Future[Any]] = [engine.ended, wake]
        try:
            while not engine.ended.done() and not self._wake.is_set():
                loading = self.phase is Phase.LOADING
                patience = self._patience.load_s if loading else self._patience.stall_s
                # An engine that hangs on one prompt goes on giving signs of life.
                since = self._last_sign if self._encoding_since is None else self._encoding_since
                left = min(since, self._last_sign) + patience - time.monotonic()
                if left <= 0:
                    doing = (
                        "loading" if loading else "reading a prompt" if since < self._last_sign else "serving"
                    )
                    return f"the engine made no progress for {patience:g} s while {doing} and was replaced"
                # It may become ready meanwhile, and then there is less patience.
                timeout = min(left, self._patience.stall_s)
                await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            return engine.ended.result() if engine.ended.done() else None
        finally:
            wake.cancel()

    async def _retire(self, engine: EngineProcess) -> None:
        """End an engine because `stop` or `replace` asked for it."""
        phase = self.phase
        if not self._stopping.is_set() and self._replacing is not None:
            self._forget()
            self._set_phase(Phase.DOWN)
            if phase is Phase.READY:
                self._on_lost(Loss(self._replacing, planned=True))
        if phase is not Phase.READY:  # it reads no command until the model is loaded
            engine.kill()
        await engine.stop()

    async def _find_cause(self, engine: EngineProcess, problem: str | None) -> _End:
        """Return why an engine ended without being asked, or, with a problem, has to be killed."""
        if problem is not None:
            engine.kill()
        status = await engine.exit_status()
        if self._refusal is not None:
            cause = _Cause.NOT_NOW if self._refusal.for_now else _Cause.UNUSABLE
            return _End(cause, self._refusal.message)
        wrong_cpu = self.phase is Phase.LOADING and status == -signal.SIGILL
        return _End(_Cause.WRONG_CPU if wrong_cpu else _Cause.DIED, problem or engine.explain(status))

    def _report(self, end: _End) -> None:
        """Tell of an engine that ended without being asked."""
        was_ready = self.phase is Phase.READY
        self.restarts += end.cause in {_Cause.DIED, _Cause.WRONG_CPU}
        log.error("%s", end.reason)
        self.problem = end.reason
        hopeless = end.cause in {_Cause.UNUSABLE, _Cause.WRONG_CPU}
        self._set_phase(Phase.UNUSABLE if hopeless else Phase.WAITING)
        if was_ready:
            self._on_lost(Loss(end.reason, planned=False))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _take(self, line: bytes) -> str | None:
        """Take an event; return why this engine can't be kept, or None."""
        try:
            event = decode_event(line)
        except ValueError as error:
            return f"the engine sent what is no event: {error}"
        self._last_sign = time.monotonic()
        match event:
            case Delta() if self.phase is Phase.READY:  # by far the most frequent
                self._pass_on(event)
            case Log(level=level, logger=name, message=message):
                logging.getLogger(name).log(logging.getLevelName(level.value), "%s", message)
            case _ if self.phase is Phase.DOWN:
                pass  # this engine is being replaced, and its requests were reported as lost
            case Encoding(done=done):
                self._encoding_since = None if done else self._last_sign
                self._pass_on(event)
            case Ready(model=model, load_ms=load_ms):
                self.model, self.load_ms, self.problem = model, load_ms, None
                self._set_phase(Phase.READY)
            case Unusable(message=message):
                self._refusal = event
                return message
            case Loading(fraction=fraction):
                log.debug("loading: %.0f %%", fraction * 100)
            case _:
                self._pass_on(event)
        return None

    def _pass_on(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:  # a bug in one request's handling must not end all the others
            log.exception("an event of the engine could not be handled: %s", event)

    def _set_phase(self, phase: Phase) -> None:
        self.phase = phase
        self._on_change(phase)
