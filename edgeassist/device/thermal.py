"""The processor's temperature."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edgeassist.device.files import ROOT, read_int, read_text

# In order of preference; the hottest sensor of the first kind that exists counts.
_CPU_ZONES = re.compile(r"x86_pkg_temp|(cpu|bigcore|midcore|littlecore).*", re.IGNORECASE)
_CPU_CHIPS = re.compile(r"coretemp|k10temp|zenpower|cpu_thermal")
_WHOLE_CHIP_ZONES = re.compile(r"(soc|package).*|acpitz", re.IGNORECASE)

# A zone that is switched off reads as -274 °C on some SoCs, a broken one as 255.
_PLAUSIBLE_CELSIUS = (-40.0, 150.0)


def cpu_temperature_c(root: Path = ROOT) -> float | None:
    """Return the temperature of the processor's hottest sensor in °C; None without one."""
    thermal, hwmon = root / "sys/class/thermal", root / "sys/class/hwmon"
    sources = (
        (thermal, "thermal_zone*/type", "temp", _CPU_ZONES),
        (hwmon, "hwmon*/name", "temp*_input", _CPU_CHIPS),
        (thermal, "thermal_zone*/type", "temp", _WHOLE_CHIP_ZONES),
    )
    for directory, names, values, wanted in sources:
        hottest = max(_temperatures(directory, names, values, wanted), default=None)
        if hottest is not None:
            return hottest
    return None


def _temperatures(directory: Path, names: str, values: str, wanted: re.Pattern[str]) -> Iterator[float]:
    low, high = _PLAUSIBLE_CELSIUS
    for name in directory.glob(names):
        if not wanted.fullmatch(read_text(name) or ""):
            continue
        for path in name.parent.glob(values):
            millidegrees = read_int(path)
            if millidegrees is not None and low < millidegrees / 1000 < high:
                yield millidegrees / 1000
