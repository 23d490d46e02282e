"""Power, heat and frequency, from this machine's sensors and from what the daemon has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeassist.device.cpus import read_frequency_policies
from edgeassist.device.firmware import throttled_flags
from edgeassist.device.heat import heat_limit_c
from edgeassist.device.thermal import cpu_temperature_c
from edgeassist.doctor.checks.power import PowerSnapshot


def probe_power(health: Mapping[str, Any] | None) -> PowerSnapshot:
    """Read the sensors; `health` is the running daemon's, None without one."""
    health = health or {}
    return PowerSnapshot(
        temperature_c=cpu_temperature_c(),
        limit_c=heat_limit_c(),
        flags=throttled_flags(),
        policies=read_frequency_policies(),
        throttled_since_start=health.get("throttled_since_start"),
        under_voltage_since_start=health.get("under_voltage_since_start"),
    )
