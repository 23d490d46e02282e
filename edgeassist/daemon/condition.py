"""How the device is and what it is: gathers what the rooms and the sensors say."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from pydantic import JsonValue

from edgeassist import __version__
from edgeassist.broker import Broker
from edgeassist.device.sensors import Sensors
from edgeassist.engine.messages import ModelFacts, TemplateState
from edgeassist.models.files.digests import Digests, sha256_of
from edgeassist.models.files.gguf_parts import parts_of
from edgeassist.protocol.capabilities import capabilities
from edgeassist.protocol.state import (
    PROTOCOL_VERSION,
    Health,
    Info,
    Instance,
    ModelInfo,
    PrefixReuse,
    State,
)
from edgeassist.protocol.topics import Topics
from edgeassist.serving.requests import Requests
from edgeassist.supervision.supervisor import Phase, Supervisor
from edgeassist.supervision.threads import ThreadKeeper

log = logging.getLogger(__name__)


@dataclass
class Condition:
    """Answers for `health` and `info`, at the moment it is asked.

    Attributes:
        undurable: Returns why requests do not outlive a restart; None where they do.
        digests: Keeps those of models between runs; None: nothing does.
        stopping: Whether the daemon is about to end.
        target: The model that is being switched to, in words; None at other times.
        sha256: Of the model's file; None until that is known.
        twin: That another daemon has this device's name, in words; None where none is known.
        boot_id: Of this run.
        in_fleet: Returns how it is as a box of its fleet, in words; None where it is in none.
    """

    topics: Topics
    supervisor: Supervisor
    requests: Requests
    broker: Broker
    threads: ThreadKeeper
    sensors: Sensors
    undurable: Callable[[], str | None] = lambda: None
    digests: Digests | None = None
    stopping: bool = False
    target: str | None = None
    twin: str | None = None
    boot_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    sha256: str | None = None
    in_fleet: Callable[[], str | None] = lambda: None
    _begun: float = field(default_factory=time.monotonic)

    def uptime_s(self) -> int:
        """Seconds since the daemon started."""
        return int(time.monotonic() - self._begun)

    def state(self) -> tuple[State, str | None]:
        """What the device is doing, and why it can't do better, or what disturbs it."""
        phase = self.supervisor.phase
        if self.stopping:
            return State.STOPPING, None
        if phase in {Phase.DOWN, Phase.LOADING}:
            switching = None if self.target is None else f"the model is switched to {self.target}"
            starting = phase is Phase.DOWN and switching is None
            return (State.STARTING if starting else State.LOADING), switching or self.supervisor.problem
        match phase:
            case Phase.SLEEPING:
                return State.READY, self._words_of_sleep()
            case Phase.READY if self._template_is_broken():
                return State.DEGRADED, "the chat template does not work: set model.template to one that does"
            case Phase.READY:
                return (State.BUSY if self.requests.running else State.READY), self.twin
            case _:
                return State.DEGRADED, self.supervisor.problem

    def _words_of_sleep(self) -> str:
        load_s = self.supervisor.ready_in_s
        again = "" if load_s is None else f", which takes about {load_s:.1f} s"
        return f"the model sleeps: the next request loads it{again}"

    def _template_is_broken(self) -> bool:
        model = self.supervisor.model
        return model is not None and model.template is TemplateState.BROKEN

    def health(self) -> Health:
        """How it is."""
        state, reason = self.state()
        device = self.sensors.read()
        flags = device.flags
        threads, prefill_threads, why = self.threads.in_use
        return Health(
            state=state,
            reason=reason,
            sleeping=self.supervisor.phase is Phase.SLEEPING,
            model=None if self.supervisor.model is None else self.supervisor.model.name,
            queued=self.requests.queued,
            running=self.requests.running,
            uptime_s=self.uptime_s(),
            version=__version__,
            boot_id=self.boot_id,
            engine_restarts=self.supervisor.restarts,
            daemon_memory_bytes=psutil.Process().memory_info().rss,
            engine_memory_bytes=self.supervisor.memory_bytes,
            cpu_temperature_c=device.cpu_temperature_c,
            cpu_frequency_mhz=device.cpu_frequency_mhz,
            throttled=None if flags is None else flags.throttled,
            under_voltage=None if flags is None else flags.under_voltage,
            frequency_capped=None if flags is None else flags.frequency_capped,
            soft_temperature_limit=None if flags is None else flags.soft_temperature_limit,
            throttled_since_start=device.throttled_since_start,
            under_voltage_since_start=device.under_voltage_since_start,
            memory_available_bytes=device.memory_available_bytes,
            cpu_pressure=device.cpu_pressure,
            memory_pressure=device.memory_pressure,
            io_pressure=device.io_pressure,
            disk_free_bytes=device.disk_free_bytes,
            threads=threads,
            prefill_threads=prefill_threads,
            threads_reason=why,
            durable=(undurable := self.undurable()) is None,
            undurable_reason=undurable,
            mqtt_reconnects=max(0, self.broker.connects - 1),
            mqtt_dropped=self.broker.dropped,
            mqtt_last_problem=self.broker.last_problem,
            mqtt_refused=self.broker.sender.refusals.count,
            mqtt_last_refusal=self.broker.sender.refusals.last,
            mqtt_limits="; ".join(self.broker.sender.limits.words()) or None,
            fleet=self.in_fleet(),
        )

    def instance(self, client_id: str) -> Instance:
        """Which daemon it is; `client_id` at the broker."""
        return Instance(
            boot_id=self.boot_id,
            connection=self.broker.connects,
            host=socket.gethostname(),
            address=self.broker.local_address,
            pid=os.getpid(),
            client_id=client_id,
            version=__version__,
        )

    def info(self, settings: dict[str, JsonValue]) -> Info:
        """What it is; `settings` without secrets."""
        facts = self.supervisor.model
        model = None
        if facts is not None:
            model = ModelInfo(
                name=facts.name,
                backend=facts.backend,
                architecture=facts.architecture,
                parameters=facts.parameters,
                quantisation=facts.quantization,
                context=facts.context,
                trained_context=facts.trained_context,
                size_bytes=facts.size_bytes,
                sha256=self.sha256,
                chat_template=facts.template in {TemplateState.MODEL, TemplateState.FILE},
                template=facts.template,
                slots=facts.slots,
                prefix_reuse=_prefix_reuse(facts),
                constrains=facts.constrains,
                thinks=facts.thinks,
                decides=facts.decides,
                calibration=self.requests.calibration if facts.decides else None,
                build=facts.build,
            )
        return Info(
            version=__version__,
            protocol=PROTOCOL_VERSION,
            device=self.topics.device,
            capabilities=capabilities(
                constrains=facts is None or facts.constrains, decides=facts is None or facts.decides
            ),
            model=model,
            settings=settings,
        )

    async def hash_model(self, path: Path | None) -> str | None:
        """Return a model's SHA-256, None for one that is no single file.

        It is computed in the background where it is not known yet, which takes seconds.
        """
        if path is None or not path.is_file() or len(parts_of(path)) > 1:
            return None
        try:
            if self.digests is None:
                return await asyncio.to_thread(sha256_of, path)
            return self.digests.known(path) or await asyncio.to_thread(self.digests.compute, path)
        except OSError as error:
            log.warning("the model's SHA-256 can't be computed: %s: %s", path, error.strerror)
            return None


def _prefix_reuse(facts: ModelFacts) -> PrefixReuse:
    if not facts.prefix_bytes:
        return PrefixReuse.NONE
    return PrefixReuse.EXACT if facts.reach is None else PrefixReuse.CHECKPOINTS
