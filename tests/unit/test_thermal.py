from pathlib import Path
from typing import Any

import pytest

from edgeassist.device.thermal import cpu_temperature_c
from tests.unit.trees import plant


def zones(root: Path, **types: Any) -> Path:
    for number, (kind, value) in enumerate(types.items()):
        zone = f"sys/class/thermal/thermal_zone{number}"
        plant(root, {f"{zone}/type": kind.replace("_", "-"), f"{zone}/temp": value})
    return root


def test_a_pis_thermal_zone_is_its_temperature(tmp_path: Path) -> None:
    assert cpu_temperature_c(zones(tmp_path, cpu_thermal=48686)) == 48.686


def test_the_hottest_processor_zone_counts_and_other_zones_do_not(tmp_path: Path) -> None:
    zones(tmp_path, soc_thermal=70000, bigcore0_thermal=61000, littlecore_thermal=55000, gpu_thermal=90000)
    assert cpu_temperature_c(tmp_path) == 61.0


def test_the_package_zone_is_preferred_to_the_firmwares(tmp_path: Path) -> None:
    plant(
        tmp_path / "sys/class/thermal",
        {
            "thermal_zone0/type": "acpitz",
            "thermal_zone0/temp": 27800,
            "thermal_zone1/type": "x86_pkg_temp",
            "thermal_zone1/temp": 53000,
        },
    )
    assert cpu_temperature_c(tmp_path) == 53.0


@pytest.mark.parametrize("chip", ["coretemp", "k10temp"])
def test_a_processor_chip_is_preferred_to_the_firmwares_zone(tmp_path: Path, chip: str) -> None:
    zones(tmp_path, acpitz=27800)
    plant(
        tmp_path / "sys/class/hwmon",
        {
            "hwmon0/name": "nvme",
            "hwmon0/temp1_input": 80000,
            "hwmon1/name": chip,
            "hwmon1/temp1_input": 61000,
            "hwmon1/temp2_input": 62500,
            "hwmon1/temp3_input": b"\xff",
        },
    )
    assert cpu_temperature_c(tmp_path) == 62.5


def test_a_whole_chip_zone_is_better_than_none(tmp_path: Path) -> None:
    assert cpu_temperature_c(zones(tmp_path, battery=30000, soc_thermal=52000)) == 52.0


@pytest.mark.parametrize("value", [-274000, 255000, "", "hot"])
def test_an_implausible_temperature_is_unknown(tmp_path: Path, value: object) -> None:
    assert cpu_temperature_c(zones(tmp_path, cpu_thermal=value)) is None


def test_an_empty_tree_has_no_temperature(tmp_path: Path) -> None:
    assert cpu_temperature_c(tmp_path) is None
