"""The temperature at which the processor is throttled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgeassist.device.files import ROOT, read_text
from edgeassist.device.firmware import throttled_flags

# Where a Raspberry Pi's firmware begins (Raspberry Pi documentation, frequency management).
_RASPBERRY_PI_C = 80.0
_CPU_ZONES = re.compile(r"x86_pkg_temp|acpitz|(cpu|bigcore|midcore|littlecore|soc|package).*", re.IGNORECASE)
_CPU_CHIPS = re.compile(r"coretemp|k10temp|zenpower")
# A trip point that is not set reads as 0, or as something absurd.
_PLAUSIBLE_C = (60.0, 115.0)


def heat_limit_c(root: Path = ROOT) -> float | None:
    """Return that temperature in °C; None if unknown.

    On a Raspberry Pi it is the firmware's limit; elsewhere the lowest passive trip point of the processor's
    thermal zones, or else the critical temperature of the processor's own sensor.
    """
    if throttled_flags(root) is not None:
        return _RASPBERRY_PI_C
    trips = [
        kind.with_name(kind.name.removesuffix("_type") + "_temp")
        for zone in _named(root / "sys/class/thermal", "thermal_zone*/type", _CPU_ZONES)
        for kind in zone.glob("trip_point_*_type")
        if read_text(kind) == "passive"
    ]
    criticals = [
        path
        for chip in _named(root / "sys/class/hwmon", "hwmon*/name", _CPU_CHIPS)
        for path in chip.glob("temp*_crit")
    ]
    return min(_plausible(trips), default=min(_plausible(criticals), default=None))


def _named(folder: Path, names: str, wanted: re.Pattern[str]) -> Iterator[Path]:
    return (path.parent for path in folder.glob(names) if wanted.fullmatch(read_text(path) or ""))


def _plausible(paths: Iterable[Path]) -> Iterator[float]:
    low, high = _PLAUSIBLE_C
    for path in paths:
        text = read_text(path) or ""
        if text.isdecimal() and low <= int(text) / 1000 <= high:
            yield int(text) / 1000
