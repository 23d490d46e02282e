"""The engine's threads: reads the device's sensors, asks the governor, and tells the engine what to use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from edgeassist.device.cores import ThreadChoice
from edgeassist.device.firmware import ThrottledFlags
from edgeassist.device.governor import Allowance, Governor, Reading
from edgeassist.device.load import Sampler
from edgeassist.engine.messages import Threads
from edgeassist.supervision.supervisor import Phase, Supervisor

log = logging.getLogger(__name__)

LOOK_S = 0.5
# While no answer runs, what comes and goes is only acted on so often, in seconds: nobody feels it.
IDLE_S = 5.0


class ThreadKeeper:
    """Keeps the engine's threads within what the device gives.

    Args:
        supervisor: Has the engine.
        decode: A number of threads that is configured, and kept whatever happens; None: the device decides.
        prefill: Likewise, for reading prompts; None: as for `decode`.
        running: Tells how many answers run.
        on_change: Called when the threads in use changed.
        flags: Reads what the firmware says of power and heat, and remembers it.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        decode: int | None,
        prefill: int | None,
        running: Callable[[], int],
        on_change: Callable[[], None],
        flags: Callable[[], ThrottledFlags | None],
    ) -> None:
        self._supervisor = supervisor
        self._fixed = decode
        self._fixed_prefill = prefill if prefill is not None else decode
        self._running = running
        self._on_change = on_change
        self._sampler = Sampler(decode, flags)
        self._governor = Governor()
        self._allowance = self._applied = Allowance(1, 1)
        self._applied_at = 0.0
        self._told = (0, 0, 0)
        # What cores, affinity and quota give, or the configured number, and why.
        self.choice = ThreadChoice(1, "nothing is known yet")

    @property
    def held_back(self) -> str | None:
        """Why the engine computes with fewer threads than it could; None where it does not."""
        return self._applied.held_back if self._adjusts else None

    @property
    def in_use(self) -> tuple[int, int, str]:
        """Threads for decoding and for reading prompts, and the reason in a sentence."""
        model = self._supervisor.model
        if model is not None and not model.adjusts_threads:
            return model.threads, model.threads, f"as when the model was loaded ({self.choice.reason})"
        now = self._applied
        if now.held_back is None:
            return now.decode, now.prefill, self.choice.reason
        prompts = "" if now.prefill == now.decode else f", {now.prefill} to read prompts"
        reason = f"{now.decode} of {self.choice.threads} threads{prompts}: {now.held_back}"
        return now.decode, now.prefill, reason

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Read the sensors, and go by them: at once while answers run, now and then while none does."""
        running = self._running() > 0
        choice, reading = self._sampler.read(self._supervisor.pid, running=running)
        changed = choice != self.choice
        if changed:
            log.info("%s", choice.reason)
            self.choice = choice
        self._allowance = self._judge(reading)
        if running or changed or reading.at - self._applied_at >= IDLE_S:
            self._applied_at = reading.at
            self.apply()

    def apply(self) -> None:
        """Tell the engine, and all who ask, what the last look found: answers may begin."""
        self._tell()
        before, now = self._applied, self._allowance
        self._applied = now
        if (now.decode, now.prefill) == (before.decode, before.prefill):
            return
        if self._adjusts:
            why = now.held_back or "nothing holds them back"
            log.info("threads: %d, and %d to read prompts: %s", now.decode, now.prefill, why)
        self._on_change()

    @property
    def _adjusts(self) -> bool:
        """Whether the engine can be told: ONNX Runtime keeps the threads that it was loaded with."""
        model = self._supervisor.model
        return model is not None and model.adjusts_threads

    def _judge(self, reading: Reading) -> Allowance:
        if self._fixed is not None:
            return Allowance(self._fixed, self._fixed_prefill or self._fixed)
        allowance = self._governor.judge(reading)
        return replace(allowance, prefill=self._fixed_prefill or allowance.prefill)

    def _tell(self) -> None:
        """Tell an engine that serves what it does not know yet."""
        supervisor, now = self._supervisor, self._allowance
        model, pid = supervisor.model, supervisor.pid
        if supervisor.phase is not Phase.READY or model is None or pid is None or not model.adjusts_threads:
            return
        if self._told[0] != pid:
            self._told = (pid, model.threads, model.threads)
        if self._told != (pid, now.decode, now.prefill):
            self._told = (pid, now.decode, now.prefill)
            supervisor.send(Threads(now.decode, now.prefill))
