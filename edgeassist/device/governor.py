"""How many threads to compute with at the moment: a policy over readings. Sans-I/O.

`cores` tells how many threads the device has. Fewer are better while other programs use the cores, near the
temperature at which the firmware throttles, and on a weak power supply. The number is lowered at once. While
answers run it is raised again only after a delay, which grows each time that raising it proved wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

# A core is given up if other programs use more than BUSY_CORES of it: a thread that shares a core is late at
# the end of every operation, and all others wait for it. It is taken back once they have used less than
# CALM_CORES of it for CALM_S.
BUSY_CORES = 0.3
CALM_CORES = 0.15
CALM_S = 3.0
# If the others are back within RELAPSE_S, the next delay is twice as long, up to LONGEST_CALM_S.
RELAPSE_S = 10.0
LONGEST_CALM_S = 60.0

# Hot and cool, in °C below the temperature at which the firmware throttles, and the time between two changes
# in each direction: the temperature follows slowly.
HOT_C = 3.0
COOL_C = 8.0
HEATING_S = 10.0
COOLING_S = 30.0

# How long the threads stay halved after an under-voltage.
POWER_S = 60.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The sensors at one moment; None without a sensor.

    Attributes:
        at: Monotonic time in seconds.
        most: Threads that cores, affinity and quota allow.
        cores: Physical cores that the engine may run on.
        others: How many of these cores other programs used, on average since the last reading.
        running: Whether answers run.
        temperature_c: Of the processor, in °C.
        limit_c: The temperature at which the firmware throttles, in °C.
        throttled: Whether the firmware throttles now.
        under_voltage: Whether the power supply is too weak now.
    """

    at: float
    most: int
    cores: int
    others: float | None = None
    running: bool = True
    temperature_c: float | None = None
    limit_c: float | None = None
    throttled: bool = False
    under_voltage: bool = False


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many threads to compute with.

    Attributes:
        decode: For steps that only decode; at least 1.
        prefill: For steps that prefill; at least 1.
        held_back: Why these are fewer than possible, in words; None if they are not.
    """

    decode: int
    prefill: int
    held_back: str | None = None


class _Brake(Protocol):
    def limit(self, reading: Reading) -> Allowance | None:
        """Return the most threads for this reason; None for no limit."""
        ...


class Governor:
    """Judges readings, one after the other; the strictest limit counts."""

    def __init__(self) -> None:
        self._brakes: tuple[_Brake, ...] = (_Contention(), _Heat(), _Power())

    def judge(self, reading: Reading) -> Allowance:
        """Return the threads to compute with until the next reading."""
        limits = [limit for brake in self._brakes if (limit := brake.limit(reading)) is not None]
        decode = max(1, min([reading.most, *(limit.decode for limit in limits)]))
        prefill = max(1, min([reading.most, *(limit.prefill for limit in limits)]))
        if decode == prefill == reading.most:
            return Allowance(decode, prefill)
        strictest = min(limits, key=lambda limit: (limit.decode, limit.prefill))
        return Allowance(decode, prefill, strictest.held_back)


class _Contention:
    """Leaves cores to other programs that use them."""

    def __init__(self) -> None:
        self._ours: int | None = None
        self._calm_since: float | None = None
        self._raised_at = -math.inf
        self._calm_s = CALM_S

    def limit(self, reading: Reading) -> Allowance | None:
        if reading.others is not None:
            self._learn(reading, reading.others)
        if self._ours is None or self._ours >= reading.most:
            return None
        why = "other programs use the processor"
        if reading.others is not None:
            why = f"other programs use {reading.others:.1f} of {reading.cores} cores"
        return Allowance(self._ours, self._ours, why)

    def _learn(self, reading: Reading, others: float) -> None:
        if not reading.running:
            # While idle, follow the others at once: there is no answer that a changing number could disturb.
            left = _cores_left(reading.cores, others, BUSY_CORES)
            self._ours, self._calm_since = None if left == reading.cores else left, None
            self._calm_s = CALM_S
            return
        ours = reading.cores if self._ours is None else min(self._ours, reading.cores)
        left = _cores_left(reading.cores, others, BUSY_CORES)
        if left < ours:
            relapsed = reading.at - self._raised_at < RELAPSE_S
            self._calm_s = min(2 * self._calm_s, LONGEST_CALM_S) if relapsed else CALM_S
            self._ours, self._calm_since = left, None
            return
        left = _cores_left(reading.cores, others, CALM_CORES)
        if left <= ours:
            self._calm_since = None
            return
        if self._calm_since is None:
            self._calm_since = reading.at
        if reading.at - self._calm_since >= self._calm_s:
            self._raised_at, self._calm_since = reading.at, None
            self._ours = None if left == reading.cores else left


def _cores_left(cores: int, others: float, slack: float) -> int:
    return max(1, min(cores, math.floor(cores - others + slack)))


class _Heat:
    """Takes away one thread after the other while it is hot; from prefill first, which heats most."""

    def __init__(self) -> None:
        self._level = 0
        self._changed_at = -math.inf

    def limit(self, reading: Reading) -> Allowance | None:
        since = reading.at - self._changed_at
        if _is_hot(reading) and since >= HEATING_S:
            self._change(min(self._level + 1, 2 * (reading.most - 1)), reading.at)
        elif _is_cool(reading) and since >= COOLING_S:
            self._change(max(0, self._level - 1), reading.at)
        if not self._level:
            return None
        why = "the firmware throttles the processor"
        if reading.temperature_c is not None and not reading.throttled:
            why = f"the processor has {reading.temperature_c:.0f} °C"
            why += "" if reading.limit_c is None else f" and is throttled at {reading.limit_c:.0f} °C"
        return Allowance(reading.most - self._level // 2, reading.most - (self._level + 1) // 2, why)

    def _change(self, level: int, at: float) -> None:
        if level != self._level:
            self._level, self._changed_at = level, at


def _is_hot(reading: Reading) -> bool:
    if reading.throttled:
        return True
    if reading.temperature_c is None or reading.limit_c is None:
        return False
    return reading.temperature_c >= reading.limit_c - HOT_C


def _is_cool(reading: Reading) -> bool:
    """Whether it is clearly cooler; without a thermometer, whether the firmware does not throttle."""
    if reading.throttled:
        return False
    if reading.temperature_c is None or reading.limit_c is None:
        return True
    return reading.temperature_c <= reading.limit_c - COOL_C


class _Power:
    """Halves the threads for a while after an under-voltage: the next one may reset the board."""

    def __init__(self) -> None:
        self._weak_at = -math.inf

    def limit(self, reading: Reading) -> Allowance | None:
        if reading.under_voltage:
            self._weak_at = reading.at
        half = math.ceil(reading.most / 2)
        if reading.at - self._weak_at >= POWER_S or half == reading.most:
            return None
        return Allowance(half, half, "the power supply is too weak (under-voltage)")
