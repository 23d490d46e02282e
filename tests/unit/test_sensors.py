from pathlib import Path

import psutil
import pytest

from edgeassist.device.pressure import Pressure, Resource, read_pressure
from edgeassist.device.sensors import Sensors
from tests.unit.trees import V2, plant, v2

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
PRESSURE = "some avg10=12.50 avg60=3.00 avg300=1.17 total=1218\nfull avg10=0.00 avg60=0.00"


def test_this_machine_is_read_without_an_error(tmp_path: Path) -> None:
    readings = Sensors(tmp_path).read()
    assert readings.memory_available_bytes is not None
    assert 0 < readings.memory_available_bytes <= psutil.virtual_memory().total
    assert readings.disk_free_bytes is not None
    assert readings.disk_free_bytes > 0


def test_a_sensor_that_the_machine_lacks_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    readings = Sensors(tmp_path, tmp_path).read()
    assert readings.disk_free_bytes is not None
    there = {name for name in readings.__dataclass_fields__ if getattr(readings, name) is not None}
    assert there == {"disk_free_bytes"}


def test_a_pi_tells_everything(tmp_path: Path) -> None:
    policy = "sys/devices/system/cpu/cpufreq/policy0"
    v2(tmp_path, "/edge", {"edge/memory.max": 4096, "edge/memory.current": 1024})
    plant(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": 61000,
            f"{policy}/cpuinfo_max_freq": 2400000,
            f"{policy}/scaling_cur_freq": 1500345,
            FIRMWARE: "4",
            "proc/pressure/cpu": PRESSURE,
            "proc/pressure/memory": PRESSURE.replace("12.50", "0.25"),
            "proc/pressure/io": PRESSURE.replace("12.50", "99.00"),
        },
    )
    readings = Sensors(tmp_path / "state" / "kv", tmp_path).read()
    assert readings.cpu_temperature_c == 61.0
    assert readings.cpu_frequency_mhz == 1500
    assert (readings.throttled_since_start, readings.under_voltage_since_start) == (True, False)
    assert readings.memory_available_bytes == 3072
    assert (readings.cpu_pressure, readings.memory_pressure, readings.io_pressure) == (12.5, 0.25, 99.0)


def test_what_was_seen_once_is_remembered(tmp_path: Path) -> None:
    sensors = Sensors(tmp_path, plant(tmp_path, {FIRMWARE: "0"}))
    assert sensors.read().throttled_since_start is False
    plant(tmp_path, {FIRMWARE: "4"})
    sensors.throttled()
    plant(tmp_path, {FIRMWARE: "0"})
    readings = sensors.read()
    assert readings.flags is not None
    assert (readings.flags.throttled, readings.throttled_since_start) == (False, True)


def test_a_cgroup_that_limits_later_is_still_read(tmp_path: Path) -> None:
    v2(tmp_path, "/edge", {"edge/memory.max": "max"})
    sensors = Sensors(tmp_path, tmp_path)
    sensors.read()
    plant(tmp_path, {f"{V2}/edge/memory.max": 9000, f"{V2}/edge/memory.current": 1000})
    assert sensors.read().memory_available_bytes == 8000


def test_pressure_has_two_averages(tmp_path: Path) -> None:
    plant(tmp_path, {"proc/pressure/io": PRESSURE})
    assert read_pressure(Resource.IO, tmp_path) == Pressure(12.5, 3.0)


@pytest.mark.parametrize("text", ["", "full avg10=1.00 avg60=1.00 avg300=1.00 total=1", b"\xff"])
def test_garbled_pressure_is_unknown(tmp_path: Path, text: object) -> None:
    plant(tmp_path, {"proc/pressure/io": text})
    assert read_pressure(Resource.IO, tmp_path) is None
