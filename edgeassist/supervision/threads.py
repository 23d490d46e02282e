"""The engine's threads: read the sensors, ask the governor, and send the engine its number of threads."""

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
# While idle, apply changes at most once per this many seconds.
IDLE_S = 5.0


class ThreadKeeper:
    """Keeps the engine's number of threads within what the device can give at the moment.

    Args:
        supervisor: Runs the engine.
        decode: A configured, fixed number of threads; None: chosen by the device's state.
        prefill: The same for prefill; None: as `decode`.
        decode_most: The most that is chosen where none is fixed; None: all that the device gives.
        prefill_most: The same for prefill.
        running: Returns the number of running answers.
        on_change: Called when the number of threads changed.
        flags: Reads the firmware's power and heat flags, and records them.

    Attributes:
        choice: The threads that cores, affinity and quota give, or the configured number, and why.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        decode: int | None,
        prefill: int | None,
        decode_most: int | None = None,
        prefill_most: int | None = None,
        running: Callable[[], int],
        on_change: Callable[[], None],
        flags: Callable[[], ThrottledFlags | None],
    ) -> None:
        self._supervisor = supervisor
        self._fixed = decode
        self._fixed_prefill = prefill if prefill is not None else decode
        self._decode_most = decode_most
        self._prefill_most = prefill_most
        self._running = running
        self._on_change = on_change
        self._sampler = Sampler(decode, flags)
        self._governor = Governor()
        self._allowance = self._applied = Allowance(1, 1)
        self._applied_at = 0.0
        self._told = (0, 0, 0)
        self.choice = ThreadChoice(1, "nothing is known yet")

    @property
    def held_back(self) -> str | None:
        """Why the engine uses fewer threads than the device has for it; None if it uses all."""
        return self._applied.held_back if self._adjusts else None

    @property
    def in_use(self) -> tuple[int, int, str]:
        """Threads for decode, threads for prefill, and the reason in a sentence."""
        model = self._supervisor.model
        if model is not None and not model.adjusts_threads:
            return model.threads, model.threads, f"as when the model was loaded ({self.choice.reason})"
        now = self._applied
        if now.held_back is None:
            return now.decode, now.prefill, self.choice.reason + self._caps
        prompts = "" if now.prefill == now.decode else f", {now.prefill} to read prompts"
        reason = f"{now.decode} of {self.choice.threads} threads{prompts}: {now.held_back}"
        return now.decode, now.prefill, reason

    @property
    def at_load(self) -> int:
        """The threads to load a model with: those of an engine that keeps them for its life."""
        threads = self.choice.threads
        return threads if self._fixed is not None else _capped(threads, self._decode_most)

    async def run(self) -> None:
        """Call `look` every `LOOK_S` seconds, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Read and judge the sensors; apply the result at once while answers run, else every `IDLE_S`."""
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
        """Apply the last result now. To be called before an answer starts."""
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
        """Whether threads can change: ONNX Runtime keeps the number that it was loaded with."""
        model = self._supervisor.model
        return model is not None and model.adjusts_threads

    def _judge(self, reading: Reading) -> Allowance:
        if self._fixed is not None:
            return Allowance(self._fixed, self._fixed_prefill or self._fixed)
        allowance = self._governor.judge(reading)
        return replace(
            allowance,
            decode=_capped(allowance.decode, self._decode_most),
            prefill=self._fixed_prefill or _capped(allowance.prefill, self._prefill_most),
        )

    @property
    def _caps(self) -> str:
        """Say which settings keep threads from being used; empty where none does."""
        if self._fixed is not None:
            return ""
        caps = [("write", self._decode_most, "threads_max")]
        if self._fixed_prefill is None:
            caps.append(("read prompts", self._prefill_most, "prefill_threads_max"))
        said = [
            f"at most {most} to {what} (engine.{key})"
            for what, most, key in caps
            if most is not None and most < self.choice.threads
        ]
        return "".join(f"; {each}" for each in said)

    def _tell(self) -> None:
        """Send a ready engine its number of threads, unless it has it already."""
        supervisor, now = self._supervisor, self._allowance
        model, pid = supervisor.model, supervisor.pid
        if supervisor.phase is not Phase.READY or model is None or pid is None or not model.adjusts_threads:
            return
        if self._told[0] != pid:
            self._told = (pid, model.threads, model.threads)
        if self._told != (pid, now.decode, now.prefill):
            self._told = (pid, now.decode, now.prefill)
            supervisor.send(Threads(now.decode, now.prefill))


def _capped(threads: int, most: int | None) -> int:
    return threads if most is None else min(threads, most)
