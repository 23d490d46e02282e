"""Counters and rolling percentiles."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field

from edgeassist.errors import Code
from edgeassist.protocol.events import Done
from edgeassist.protocol.state import Percentiles, Telemetry

WINDOW = 256


class Rolling:
    """The last values of one figure."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=WINDOW)

    def add(self, value: float | None) -> None:
        """Take a value; None is no value."""
        if value is not None:
            self._values.append(value)

    @property
    def mean(self) -> float | None:
        """The average of the window."""
        return sum(self._values) / len(self._values) if self._values else None

    def percentiles(self) -> Percentiles:
        """Return the nearest-rank percentiles of the window."""
        ordered = sorted(self._values)

        def at(share: float) -> float | None:
            return round(ordered[math.ceil(share * len(ordered)) - 1], 2) if ordered else None

        return Percentiles(p50=at(0.5), p95=at(0.95))


@dataclass(slots=True)
class Tally:
    """What the daemon has done since it started.

    The percentiles are those of answers, but for `decision_ms`: decisions, in which nothing is written, would
    hide what these take.
    """

    requests: int = 0
    done: int = 0
    decisions: int = 0
    errors: Counter[Code] = field(default_factory=Counter)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    queue_ms: Rolling = field(default_factory=Rolling)
    ttft_ms: Rolling = field(default_factory=Rolling)
    tpot_ms: Rolling = field(default_factory=Rolling)
    total_ms: Rolling = field(default_factory=Rolling)
    decision_ms: Rolling = field(default_factory=Rolling)
    service_ms: Rolling = field(default_factory=Rolling)
    prefill_rate: Rolling = field(default_factory=Rolling)
    decode_rate: Rolling = field(default_factory=Rolling)

    def count_done(self, done: Done) -> None:
        """Take an answer's figures in."""
        usage, timings = done.usage, done.timings
        self.done += 1
        self.prompt_tokens += usage.prompt_tokens
        self.cached_tokens += usage.cached_tokens
        self.completion_tokens += usage.completion_tokens
        self.service_ms.add(timings.total_ms - timings.queue_ms)
        if done.answers is not None:
            self.decisions += 1
            self.decision_ms.add(timings.total_ms)
            return
        self.queue_ms.add(timings.queue_ms)
        self.ttft_ms.add(timings.ttft_ms)
        self.total_ms.add(timings.total_ms)
        self.prefill_rate.add(timings.prefill_tokens_per_s)
        self.decode_rate.add(timings.decode_tokens_per_s)
        if usage.completion_tokens > 1:
            self.tpot_ms.add(timings.decode_ms / (usage.completion_tokens - 1))

    def count_error(self, code: Code) -> None:
        """Take a refusal or a failure in."""
        self.errors[code] += 1

    def retry_after_ms(self, *, waiting: int, slots: int, default_ms: int = 1000) -> int:
        """Return when a place should be free, in ms, from how long answers took lately."""
        service = self.service_ms.mean
        if service is None:
            return default_ms
        return max(100, round(service * max(1, waiting) / slots))

    def report(self) -> Telemetry:
        """Return the message for `<root>/telemetry`."""
        return Telemetry(
            requests=self.requests,
            done=self.done,
            decisions=self.decisions,
            errors=dict(self.errors),
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
            queue_ms=self.queue_ms.percentiles(),
            ttft_ms=self.ttft_ms.percentiles(),
            tpot_ms=self.tpot_ms.percentiles(),
            total_ms=self.total_ms.percentiles(),
            decision_ms=self.decision_ms.percentiles(),
            prefill_tokens_per_s=self.prefill_rate.percentiles(),
            decode_tokens_per_s=self.decode_rate.percentiles(),
        )
