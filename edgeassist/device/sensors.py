"""Reads all sensors at once, for `health`.

A sensor that the machine lacks, or that this process may not read, is None, never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from edgeassist.device.cgroups import Cgroup, memory_cgroups
from edgeassist.device.cpus import fastest_policy_folder, frequency_mhz
from edgeassist.device.disk import disk_free_bytes
from edgeassist.device.files import ROOT
from edgeassist.device.firmware import Firmware, ThrottledFlags, ThrottledHistory
from edgeassist.device.memory import available_memory_bytes
from edgeassist.device.pressure import Resource, read_pressure
from edgeassist.device.thermal import cpu_temperature_c


@dataclass(frozen=True, slots=True)
class Readings:
    """The sensors at one moment; None without a sensor.

    Attributes:
        cpu_frequency_mhz: The current frequency of the fastest processors.
        throttled_since_start: Whether the processor was throttled at any time since the first reading.
        under_voltage_since_start: As `throttled_since_start`.
        cpu_pressure: The percentage of the last 10 s during which some task of the machine waited.
        disk_free_bytes: On the state folder's disk.
    """

    cpu_temperature_c: float | None
    cpu_frequency_mhz: int | None
    flags: ThrottledFlags | None
    throttled_since_start: bool | None
    under_voltage_since_start: bool | None
    memory_available_bytes: int | None
    cpu_pressure: float | None
    memory_pressure: float | None
    io_pressure: float | None
    disk_free_bytes: int | None


@dataclass
class Sensors:
    """Reads the sensors, and keeps the history of the firmware's flags.

    Args:
        state_folder: The folder whose disk is measured.
        root: The root of the file tree to read.
    """

    state_folder: Path
    root: Path = ROOT
    _firmware: Firmware = field(init=False)
    _history: ThrottledHistory = field(default_factory=ThrottledHistory)

    def __post_init__(self) -> None:
        self._firmware = Firmware(self.root)

    def throttled(self) -> ThrottledFlags | None:
        """Read and record the firmware's flags; the more often this is called, the less is missed."""
        flags = self._firmware.read()
        if flags is not None:
            self._history.note(flags)
        return flags

    def read(self) -> Readings:
        """Read everything."""
        flags = self.throttled()
        return Readings(
            cpu_temperature_c=cpu_temperature_c(self.root),
            cpu_frequency_mhz=None if self._policy is None else frequency_mhz(self._policy),
            flags=flags,
            throttled_since_start=self._history.throttled,
            under_voltage_since_start=self._history.under_voltage,
            memory_available_bytes=available_memory_bytes(self.root, self._cgroups),
            cpu_pressure=self._pressure(Resource.CPU),
            memory_pressure=self._pressure(Resource.MEMORY),
            io_pressure=self._pressure(Resource.IO),
            disk_free_bytes=disk_free_bytes(self.state_folder),
        )

    @cached_property
    def _policy(self) -> Path | None:
        return fastest_policy_folder(self.root)

    @cached_property
    def _cgroups(self) -> tuple[Cgroup, ...]:
        return memory_cgroups(self.root)

    def _pressure(self, resource: Resource) -> float | None:
        pressure = read_pressure(resource, self.root)
        return None if pressure is None else pressure.avg10
