"""A supervisor under observation."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import psutil

from edgeassist.engine.messages import (
    Cancelled,
    ChatMessage,
    Delta,
    Event,
    Failed,
    Finished,
    Load,
    ModelFacts,
    Sampling,
    Start,
)
from edgeassist.supervision.engine import Patience
from edgeassist.supervision.supervisor import Loss, Phase, Supervisor
from tests.integration.link import until
from tests.patience import PATIENCE_S, Stopwatch


class Watch:
    """A supervisor with all that it reports."""

    def __init__(
        self,
        backend: str = "scripted",
        path: str = "",
        *,
        scarce: int = 0,
        frozen: int = 0,
        **patience: float,
    ) -> None:
        self.events: list[Event] = []
        self.phases: list[tuple[Phase, float]] = []
        # What a stopwatch of this loop showed at each change of phase.
        self.turned_s: list[float] = []
        self._stopwatch = Stopwatch()
        self.lost: list[Loss] = []
        # All of these in their order.
        self.history: list[Event | Phase | Loss] = []
        # The model that was known at each change of phase.
        self.models: list[ModelFacts | None] = []
        self.loads = 0
        self._options = (backend, path)
        # How many engines, from the first on, find too little memory free.
        self._scarce = scarce
        # How many, from the first on, are frozen before they are told what to load.
        self._frozen = frozen
        limits = {"load_s": PATIENCE_S, "stall_s": PATIENCE_S, "restart_max_s": 0.5, **patience}
        self.supervisor = Supervisor(
            self._load,
            Patience(**limits),
            on_event=self._take_event,
            on_change=self._take_phase,
            on_lost=self._take_loss,
        )

    def _take_event(self, event: Event) -> None:
        self.events.append(event)
        self.history.append(event)

    def _take_phase(self, phase: Phase) -> None:
        self.phases.append((phase, time.monotonic()))
        self.turned_s.append(self._stopwatch.seconds)
        self.models.append(self.supervisor.model)
        self.history.append(phase)

    def _take_loss(self, loss: Loss) -> None:
        self.lost.append(loss)
        self.history.append(loss)

    def _load(self) -> Load:
        self.loads += 1
        if self.loads <= self._frozen:
            self.engine().suspend()
        backend, path = self._options
        return Load(
            backend,
            path,
            context=32768,
            slots=2,
            threads=1,
            step_tokens=8192,
            memory_bytes=1000 if self.loads <= self._scarce else 0,
            total_memory_bytes=1 << 40,
        )

    async def __aenter__(self) -> Watch:
        self._strangers = set(psutil.Process().children())
        await self._stopwatch.__aenter__()
        self.task = asyncio.create_task(self.supervisor.run(), name="supervisor")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stopwatch.__aexit__()
        if not self.task.done():
            await self.supervisor.stop()
            await asyncio.wait([self.task], timeout=PATIENCE_S)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        # A task that is cancelled, or fails, does not wait for the process that it killed.
        await until(lambda: set(psutil.Process().children()) <= self._strangers)
        await asyncio.sleep(0.02)

    @property
    def pid(self) -> int:
        assert self.supervisor.pid is not None
        return self.supervisor.pid

    def engine(self) -> psutil.Process:
        return psutil.Process(self.pid)

    async def ready(self, times: int = 1) -> None:
        await until(lambda: [phase for phase, _ in self.phases].count(Phase.READY) >= times)

    def ask(self, prompt: str, request: str = "a", *, stop: tuple[str, ...] = ()) -> None:
        messages = (ChatMessage("user", prompt),)
        self.supervisor.send(Start(request, messages, max_tokens=9999, sampling=Sampling(), stop=stop))

    async def ending(self, request: str = "a", timeout_s: float = PATIENCE_S) -> Event:
        def endings() -> list[Event]:
            kinds = Finished | Failed | Cancelled
            return [each for each in self.events if isinstance(each, kinds) and each.id == request]

        await until(endings, timeout_s)
        return endings()[0]

    def text(self, request: str = "a") -> str:
        return "".join(each.text for each in self.events if isinstance(each, Delta) and each.id == request)

    async def started(self) -> psutil.Process:
        """Wait until there is a process, loaded or not."""
        await until(lambda: self.loads)
        return self.engine()


class StartWatch(Protocol):
    """The fixture `watch`: starts a supervisor that the fixture stops in the end."""

    async def __call__(
        self,
        backend: str = "scripted",
        path: str = "",
        *,
        scarce: int = 0,
        frozen: int = 0,
        **patience: float,
    ) -> Watch:
        """Return it under observation; the arguments are those of `Watch`."""
        ...
