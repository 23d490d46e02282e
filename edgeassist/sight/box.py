"""What is known of one device, and of the last minutes. Sans-I/O."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeassist.protocol.fleet import BoxState
from edgeassist.protocol.state import Availability
from edgeassist.sight.reading import (
    EndSeen,
    HealthSeen,
    InfoSeen,
    RequestSeen,
    RequestsSeen,
    TelemetrySeen,
    WatchSeen,
)
from edgeassist.sight.series import Series

# More are not kept, whoever publishes on its topics.
MAX_WATCHES = 64
# A device speaks each `daemon.telemetry_s`; after so many times without a word it is worth a remark.
_SILENT_TIMES = 3
_USUAL_TELEMETRY_S = 30.0


@dataclass
class History:
    """What the figures were.

    Attributes:
        load: How many requests ran or waited.
        rate: Tokens per second: of each answer where those are heard, else the median that the device tells.
        flow: Tokens per second of all that runs, by the lists of that; nothing where there are none.
        first: Milliseconds to the first token, likewise.
        heat: Of the processor, in °C.
        memory: Of daemon and engine together, in bytes.
    """

    load: Series = field(default_factory=Series)
    rate: Series = field(default_factory=Series)
    flow: Series = field(default_factory=Series)
    first: Series = field(default_factory=Series)
    heat: Series = field(default_factory=Series)
    memory: Series = field(default_factory=Series)


class Box:
    """One device. What it is told is `hear…`, with the time in seconds of a monotonic clock.

    Args:
        device: Its name.
        root: The prefix of its topics.

    Attributes:
        said: Its status, as the broker keeps it; None where that is nothing.
        member: What it says of itself to its fleet; None outside of one.
        heard_at: When it was heard last; None before.
        last_error: The code of the last request that was heard to fail.
        hears_ends: Whether answers' ends are heard.
        requests: What runs and waits; None where it does not say.
        rate: Tokens per second of all that runs, lately; None where that is not known.
    """

    def __init__(self, device: str, root: str) -> None:
        self.device = device
        self.root = root
        self.said: Availability | None = None
        self.member: BoxState | None = None
        self.health: HealthSeen | None = None
        self.telemetry: TelemetrySeen | None = None
        self.info: InfoSeen | None = None
        self.watches: dict[str, WatchSeen] = {}
        self.requests: Sequence[RequestSeen] | None = None
        self.rate: float | None = None
        self.heard_at: float | None = None
        self.last_error: str | None = None
        self.hears_ends = False
        self.history = History()
        self._contradicts = False
        self._health_at = 0.0
        # When the last list of requests came, and how many tokens of each were there.
        self._listed: tuple[float, dict[str, int]] | None = None

    @property
    def online(self) -> bool:
        """Whether it is there: it says so, or has spoken since the broker said otherwise."""
        return self.said is Availability.ONLINE or self._contradicts

    @property
    def stale_status(self) -> bool:
        """Whether it is there although its status is something else."""
        return self._contradicts and self.said is not Availability.ONLINE

    @property
    def able(self) -> bool:
        """Whether it can answer."""
        return self.online and self.health is not None and self.health.able

    def uptime_s(self, now: float) -> float | None:
        """Return how long it has run, by what it said last; None where that is not known."""
        if self.health is None or self.health.uptime_s is None or not self.online:
            return None
        return self.health.uptime_s + max(0.0, now - self._health_at)

    def silent_s(self, now: float) -> float | None:
        """Return for how long it has been silent, where that is longer than it should be."""
        if self.heard_at is None or not self.online:
            return None
        each_s = (self.info.telemetry_s if self.info else None) or _USUAL_TELEMETRY_S
        silent_s = now - self.heard_at
        return silent_s if silent_s > _SILENT_TIMES * each_s else None

    def hear_status(self, payload: bytes, at: float) -> None:
        """Hear whether it is there."""
        self.said = None
        with contextlib.suppress(ValueError):
            self.said = Availability(payload.decode(errors="replace"))
        self._contradicts = False
        if self.said is Availability.ONLINE:
            self.heard_at = at

    def hear_health(self, payload: bytes, at: float, *, retained: bool) -> None:
        """Hear how it is; `retained`: it has said so some time ago."""
        self._spoke(at, retained=retained)
        self._health_at = at
        health = self.health = HealthSeen.read(payload)
        if health is None:
            return
        self.history.load.add(at, (health.running or 0) + (health.queued or 0))
        self.history.heat.add(at, health.cpu_temperature_c)
        sizes = [each for each in (health.daemon_memory_bytes, health.engine_memory_bytes) if each]
        self.history.memory.add(at, sum(sizes) if sizes else None)
        if not health.running and not health.queued:
            if self._listed is not None:
                self.history.flow.add(at, 0.0)
            self.requests = self.rate = self._listed = None

    def hear_telemetry(self, payload: bytes, at: float, *, retained: bool) -> None:
        """Hear what it has done."""
        self._spoke(at, retained=retained)
        telemetry = self.telemetry = TelemetrySeen.read(payload)
        if telemetry is not None and not self.hears_ends:
            rate, first = telemetry.decode_tokens_per_s, telemetry.ttft_ms
            self.history.rate.add(at, rate.p50 if rate else None)
            self.history.first.add(at, first.p50 if first else None)

    def hear_info(self, payload: bytes) -> None:
        """Hear what it is."""
        self.info = InfoSeen.read(payload)
        if self.info is not None and self.info.settings is not None:
            gone = self.watches.keys() - set(self.info.watches)
            for name in gone:
                del self.watches[name]

    def hear_watch(self, name: str, payload: bytes) -> None:
        """Hear what is known from one of its watches."""
        watch = WatchSeen.read(payload)
        if watch is None:
            self.watches.pop(name, None)
        elif name in self.watches or len(self.watches) < MAX_WATCHES:
            self.watches[name] = watch

    def hear_end(self, end: EndSeen, at: float) -> None:
        """Hear how one of its requests ended."""
        if end.repeat:
            return
        if not self.hears_ends:
            self.hears_ends = True
            # Medians, and single answers, don't go into one line.
            self.history.rate, self.history.first = Series(), Series()
        if end.type == "error":
            self.last_error = end.code
        elif end.timings is not None and not end.decision:
            self.history.rate.add(at, end.timings.decode_tokens_per_s)
            self.history.first.add(at, end.timings.ttft_ms)

    def hear_requests(self, listed: RequestsSeen | None, at: float) -> None:
        """Hear what runs and waits, and how far it is."""
        self.requests = None if listed is None else listed.known
        tokens = {
            f"{each.client}/{each.id}": each.completion_tokens or 0
            for each in self.requests or ()
            if each.state == "running"
        }
        if self._listed is not None and at > self._listed[0] and tokens:
            before_at, before = self._listed
            more = sum(max(0, count - before.get(name, 0)) for name, count in tokens.items())
            self.rate = more / (at - before_at)
            self.history.flow.add(at, self.rate)
        elif not tokens:
            self.rate = None
        self._listed = (at, tokens)

    def _spoke(self, at: float, *, retained: bool) -> None:
        if not retained:
            self.heard_at = at
            self._contradicts = self.said is not Availability.ONLINE
