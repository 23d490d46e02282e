"""A supervisor under observation."""

from __future__ import annotations

import asyncio
import time

import psutil

from edgeassist.engine.messages import (
    Cancelled,
    ChatMessage,
    Delta,
    Event,
    Failed,
    Finished,
    Load,
    Sampling,
    Start,
)
from edgeassist.supervision.supervisor import Patience, Phase, Supervisor
from tests.integration.link import until


class Watch:
    """A supervisor with all that it reports."""

    def __init__(
        self, backend: str = "scripted", path: str = "", *, scarce: int = 0, **patience: float
    ) -> None:
        self.events: list[Event] = []
        self.phases: list[tuple[Phase, float]] = []
        self.lost: list[str] = []
        self.loads = 0
        self._options = (backend, path)
        # So many engines find too little memory free.
        self._scarce = scarce
        limits = {"load_s": 10.0, "stall_s": 5.0, "restart_max_s": 0.5, **patience}
        self.supervisor = Supervisor(
            self._load,
            Patience(**limits),
            on_event=self.events.append,
            on_change=lambda phase: self.phases.append((phase, time.monotonic())),
            on_lost=self.lost.append,
        )

    def _load(self) -> Load:
        self.loads += 1
        backend, path = self._options
        free = 1000 if self.loads <= self._scarce else 0
        sizes = {"context": 32768, "slots": 2, "threads": 1, "step_tokens": 8192}
        return Load(backend, path, **sizes, memory_bytes=free, total_memory_bytes=1 << 40)

    async def __aenter__(self) -> Watch:
        self._strangers = set(psutil.Process().children())
        self.task = asyncio.create_task(self.supervisor.run(), name="supervisor")
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self.task.done():
            await self.supervisor.stop()
            await asyncio.wait([self.task], timeout=2)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        # A task that is cancelled, or fails, does not wait for the process that it killed.
        await until(lambda: set(psutil.Process().children()) <= self._strangers)
        await asyncio.sleep(0.02)

    @property
    def pid(self) -> int:
        return self.supervisor._process.pid

    def engine(self) -> psutil.Process:
        return psutil.Process(self.pid)

    async def ready(self, times: int = 1) -> None:
        await until(lambda: [phase for phase, _ in self.phases].count(Phase.READY) >= times)

    def ask(self, prompt: str, request: str = "a", **fields: object) -> None:
        values = {"messages": (ChatMessage("user", prompt),), "max_tokens": 9999, **fields}
        self.supervisor.send(Start(request, sampling=Sampling(), **values))

    async def ending(self, request: str = "a", timeout_s: float = 10.0) -> Event:
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
