"""Keeps an engine running: replaces one that died or hung, and goes over to another on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from edgeassist.engine.messages import Cancel, Command, Event, Load, ModelFacts
from edgeassist.errors import MemoryShortError, ModelError, ShuttingDownError
from edgeassist.supervision.engine import Cause, End, Engine, Patience
from edgeassist.supervision.spawning import Spawned

log = logging.getLogger(__name__)

FIRST_RESTART_S = 0.5
# An engine that served this long is not in a crash loop: the next delay is the shortest again.
STABLE_S = 60.0


class Phase(Enum):
    """Where the engine is in its life.

    `DOWN`: not started, stopped, or ended to make room for another. `SLEEPING`: ended because nobody needs
    it. `WAITING`: it ended, and the next start is delayed. `UNUSABLE`: as `WAITING`, and the model can't be
    used as it is.
    """

    DOWN = auto()
    LOADING = auto()
    READY = auto()
    SLEEPING = auto()
    WAITING = auto()
    UNUSABLE = auto()


@dataclass(frozen=True, slots=True)
class Loss:
    """A ready engine is gone, with all requests that it was working on.

    Attributes:
        reason: Why, in words for a person.
        planned: False if it died or hung.
        leaving: Whether another had taken its place already.
    """

    reason: str
    planned: bool
    leaving: bool = False


class Supervisor:
    """Keeps one engine running.

    Args:
        load: Returns the first command for a new engine; called once for each that `run` starts.
        patience: When to give up on an engine.
        on_event: Called for each event of a ready engine about its requests.
        on_change: Called when `phase` changed.
        on_lost: Called when a ready engine is gone, unless `stop` ended it, or it sleeps. `on_event` is not
            called for that engine any more.
        spawned: The first engine, where it has begun already. One that loads something else than it is to is
            ended.

    Attributes:
        model: Of the engine that was ready last; None before the first, and after `park`, unless it sleeps.
        load_ms: How long that took to load.
        problem: Why there is no engine; None once one is ready.
        restarts: How many engines died or hung, while loading or later. Those that reported an unusable model
            or too little memory, were ended on purpose, or were tried in vain by `switch_to`, do not count.
    """

    def __init__(
        self,
        load: Callable[[], Load],
        patience: Patience,
        *,
        on_event: Callable[[Event], None],
        on_change: Callable[[Phase], None],
        on_lost: Callable[[Loss], None],
        spawned: Spawned | None = None,
    ) -> None:
        self._spawned = spawned
        self._load = load
        self._patience = patience
        self._on_event = on_event
        self._on_change = on_change
        self._on_lost = on_lost
        self._engine: Engine | None = None
        # Loads beside `_engine`, to take its place.
        self._spare: Engine | None = None
        self._spare_wake = asyncio.Event()
        # Ends its answers, after another took its place.
        self._leaving: Engine | None = None
        self._leave = asyncio.Event()
        self._leave_why = ""
        self._seeing_off: asyncio.Task[None] | None = None
        # Something of what follows has changed: ends the watch over an engine, and the delay before the next.
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._parked = False
        self._last_sign = time.monotonic()
        self._took_s: float | None = None
        self.phase = Phase.DOWN
        self.model: ModelFacts | None = None
        self.load_ms: float | None = None
        self.problem: str | None = None
        self.restarts = 0

    async def run(self) -> None:
        """Keep an engine running until `stop`, but for the time between `park` and `resume`."""
        delay = FIRST_RESTART_S
        while not self._stopping.is_set():
            self._wake.clear()
            if self._parked and self._engine is None:
                await self._wake.wait()
                continue
            begun = time.monotonic()
            end = await self._run_engine()
            if end is None or self._stopping.is_set():
                delay = FIRST_RESTART_S
                continue
            if self.phase is Phase.READY and time.monotonic() - begun > STABLE_S:
                delay = FIRST_RESTART_S
            self._report(end)
            await self._pause(random.uniform(0.5, 1) * delay)  # noqa: S311 - spreads load only
            delay = min(delay * 2, self._patience.restart_max_s)
        self._set_phase(Phase.DOWN)

    def send(self, command: Command) -> None:
        """Send a command; dropped if no engine is running. A `Cancel` also goes to the one that leaves."""
        if self._engine is not None:
            self._engine.send(command)
        if self._leaving is not None and isinstance(command, Cancel):
            self._leaving.send(command)

    async def park(self, why: str, *, sleeping: bool = False) -> None:
        """End the engine, and start none until `resume`, or until `switch_to` has another.

        A ready engine may end its current step; it is killed if it takes too long. `phase` and `on_lost` tell
        of it within this call, which returns when its memory is free.

        Args:
            why: The reason, for the log and for `on_lost`.
            sleeping: Whether it is merely unloaded: nothing is forgotten, and nothing was running.
        """
        if self._stopping.is_set():
            return
        log.info("the engine ends: %s", why)
        engine, was_ready = self._engine, self.phase is Phase.READY
        self._parked = True
        self.problem = None
        if engine is not None:
            engine.silent = True
        if not sleeping:
            self.model = self.load_ms = self._took_s = None
        self._set_phase(Phase.SLEEPING if sleeping else Phase.DOWN)
        if was_ready and not sleeping:
            self._on_lost(Loss(why, planned=True))
        self._wake.set()
        if engine is not None:
            await engine.closed.wait()

    def resume(self) -> None:
        """Start an engine again after `park`; it is given what `load` returns then."""
        if self._parked:
            self._parked = False
            self._wake.set()

    async def switch_to(
        self, load: Load, *, on_ready: Callable[[], None], on_loading: Callable[[float], None]
    ) -> None:
        """Load an engine beside the present one, if any, and have it take that one's place.

        What runs on the present one runs on, until `end_leaving`. Not to be called again before that.

        Args:
            load: The first command for it.
            on_ready: Called just before `phase` is told: `load` has to return the same from now on.
            on_loading: Called with the fraction that is loaded.

        Raises:
            ModelError: It can't be loaded; the present engine, or `park`, goes on.
            ShuttingDownError: `stop` came first.
        """
        wake, before = asyncio.Event(), self.phase
        self._spare_wake = wake
        try:
            spare = self._spare = await Engine.start(
                self._patience, on_event=self._on_event, on_ready=wake.set
            )
        except OSError as error:  # such as no memory for another process
            raise MemoryShortError(f"the engine can't be started: {error.strerror or error}") from None
        spare.on_loading = on_loading
        try:
            if self._engine is None and self._parked:
                self._set_phase(Phase.LOADING)
            spare.send(load)
            await self._await_ready(spare, wake)
        except BaseException:
            self._spare = None
            if before is Phase.SLEEPING:
                self._set_phase(before)
            await spare.close()
            raise
        on_ready()
        self._take_place(spare)

    async def end_leaving(self, why: str) -> None:
        """End the engine whose place was taken, if it is still there; return when its memory is free.

        Args:
            why: The reason, for `on_lost`, which is told of it.
        """
        self._leave_why = why
        self._leave.set()
        if self._seeing_off is not None:
            await asyncio.wait([self._seeing_off])

    async def stop(self) -> None:
        """Let `run` end, and wait until all engines have exited; one is killed if that takes too long."""
        self._stopping.set()
        for wake in (self._wake, self._spare_wake, self._leave):
            wake.set()
        for engine in (self._engine, self._spare):
            if engine is not None:
                await engine.gone()
        if self._seeing_off is not None:
            await asyncio.wait([self._seeing_off])

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    @property
    def makes_progress(self) -> bool:
        """Whether an engine gave a sign of life lately, is being replaced, or sleeps; the watchdog asks."""
        if self._parked and self._spare is None:
            return True
        patience = self._patience.stall_s if self.phase is Phase.READY else self._patience.load_s
        signs = [each.last_sign for each in (self._engine, self._spare) if each is not None]
        since = time.monotonic() - max([self._last_sign, *signs])
        return since < 2 * patience + self._patience.restart_max_s

    @property
    def ready_in_s(self) -> float | None:
        """Seconds until the model is loaded, by how long the last load took; None where nothing tells."""
        if self._took_s is None:
            return None
        if self.phase is Phase.SLEEPING:
            return self._took_s
        if self.phase is Phase.LOADING and self._engine is not None:
            return max(0.0, self._took_s - (time.monotonic() - self._engine.begun))
        return None

    @property
    def pid(self) -> int | None:
        """The engine's process id; None without one."""
        return None if self._engine is None else self._engine.pid

    @property
    def memory_bytes(self) -> int | None:
        """The resident memory of the engine, and of those that load or leave beside it; None without any."""
        engines = (None if self._parked else self._engine, self._spare, self._leaving)
        sizes = [each.memory_bytes for each in engines if each is not None]
        known = [size for size in sizes if size is not None]
        return sum(known) if known else None

    @property
    def private_bytes(self) -> int:
        """The memory that the engine's end would free."""
        return 0 if self._engine is None else self._engine.private_bytes

    @property
    def mapped_bytes(self) -> int:
        """The memory that the engine uses, and that counts as available: pages of the model's file."""
        return 0 if self._engine is None else self._engine.mapped_bytes

    async def _run_engine(self) -> End | None:
        """Serve with the engine that took the place, or start one; return its end, None if asked for."""
        engine = self._engine
        if engine is None:
            spawned, self._spawned = self._spawned, None
            load = None if spawned is None or spawned.told is None else self._load()
            if spawned is not None and load is not None and not spawned.loads(load):
                spawned.discard()
                spawned = None
            try:
                engine = await Engine.start(
                    self._patience, on_event=self._on_event, on_ready=self._show, spawned=spawned
                )
            except OSError as error:  # such as no memory for another process
                return End(Cause.NOT_NOW, f"the engine can't be started: {error.strerror or error}")
            if self._engine is not None or self._parked or self._stopping.is_set():
                await engine.close()
                return None
            self._engine = engine
            self._set_phase(Phase.LOADING)
            if spawned is None or spawned.told is None:
                engine.send(load or self._load())
        try:
            return await self._serve(engine)
        finally:
            self._last_sign = max(self._last_sign, engine.last_sign)
            if self._engine is engine:
                self._engine = None
            if self._leaving is not engine:
                await engine.close()

    async def _serve(self, engine: Engine) -> End | None:
        """Watch an engine until it has ended, or another took its place (None)."""
        while True:
            problem = await engine.watch(self._wake)
            # One that was parked ends, although `resume` may have come since.
            if self._engine is engine and (problem is not None or engine.ended) and not engine.silent:
                end = await engine.find_end(problem)
                return end if self._engine is engine and not engine.silent else None
            if self._engine is not engine:
                return None
            if engine.silent or self._stopping.is_set():
                await engine.stop()
                return None
            self._wake.clear()

    async def _await_ready(self, spare: Engine, wake: asyncio.Event) -> None:
        problem = await spare.watch(wake)
        if self._stopping.is_set():
            raise ShuttingDownError("the device is shutting down: the model stays as it was")
        if problem is not None or spare.ended or not spare.ready:
            end = await spare.find_end(problem)
            raise (MemoryShortError if end.cause is Cause.NOT_NOW else ModelError)(end.reason)

    def _take_place(self, spare: Engine) -> None:
        old, self._engine, self._spare, self._parked = self._engine, spare, None, False
        if old is not None and not old.silent:  # that one ends already
            self._leaving, self._leave = old, asyncio.Event()
            self._seeing_off = asyncio.create_task(self._see_off(old), name="engine-leaving")
        self._wake.set()
        self._show()

    async def _see_off(self, old: Engine) -> None:
        """Watch an engine whose place was taken, until it is to end, or dies."""
        try:
            problem = await old.watch(self._leave) if old.ready else None
            if not old.ready:
                await old.stop()
            elif problem is None and not old.ended:
                old.silent = True
                if not self._stopping.is_set():
                    self._on_lost(Loss(self._leave_why, planned=True, leaving=True))
                await old.stop()
            else:
                end = await old.find_end(problem)
                self.restarts += 1
                log.error("%s", end.reason)
                self._on_lost(Loss(end.reason, planned=False, leaving=True))
        finally:
            self._leaving = None
            await old.close()

    def _show(self) -> None:
        """Tell of an engine that has become ready."""
        engine = self._engine
        if engine is not None:
            self.model, self.load_ms, self._took_s = engine.model, engine.load_ms, engine.took_s
            self.problem = None
            self._set_phase(Phase.READY)

    def _report(self, end: End) -> None:
        """Tell of an engine that ended without being asked."""
        was_ready = self.phase is Phase.READY
        self.restarts += end.cause in {Cause.DIED, Cause.WRONG_CPU}
        log.error("%s", end.reason)
        self.problem = end.reason
        hopeless = end.cause in {Cause.UNUSABLE, Cause.WRONG_CPU}
        self._set_phase(Phase.UNUSABLE if hopeless else Phase.WAITING)
        if was_ready:
            self._on_lost(Loss(end.reason, planned=False))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _set_phase(self, phase: Phase) -> None:
        self.phase = phase
        self._last_sign = time.monotonic()
        self._on_change(phase)
