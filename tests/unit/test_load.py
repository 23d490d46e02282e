from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edgeassist.device.heat import heat_limit_c
from edgeassist.device.load import OthersMeter, Sampler

TICKS_S = os.sysconf("SC_CLK_TCK")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def stat(root: Path, **cpus: float) -> None:
    """Write /proc/stat with the given seconds of user time of each processor."""
    lines = [f"{name} {round(seconds * TICKS_S)} 0 0 7 7 0 0 900 0 0" for name, seconds in cpus.items()]
    write(root / "proc/stat", "\n".join(["cpu  1 2 3 4 5 6 7 8 0 0", *lines, "intr 5 0", "ctxt 9"]))


def test_what_others_use_counts_on_the_asked_processors_only(tmp_path: Path) -> None:
    meter = OthersMeter(tmp_path)
    cpus = frozenset({0, 10})
    stat(tmp_path, cpu0=100, cpu1=100, cpu10=100)
    assert meter.read(os.getppid(), cpus, 5.0) is None  # a first reading has nothing to compare with
    stat(tmp_path, cpu0=100.5, cpu1=400, cpu10=101)
    assert meter.read(os.getppid(), cpus, 6.0) == pytest.approx(1.5, abs=0.1)


def test_two_readings_at_once_say_nothing_and_spoil_nothing(tmp_path: Path) -> None:
    meter = OthersMeter(tmp_path)
    cpus = frozenset({0})
    stat(tmp_path, cpu0=100)
    meter.read(os.getppid(), cpus, 5.0)
    assert meter.read(os.getppid(), cpus, 5.05) is None
    stat(tmp_path, cpu0=101)
    assert meter.read(os.getppid(), cpus, 6.0) == pytest.approx(1.0, abs=0.1)


def test_another_engine_or_other_processors_begin_anew(tmp_path: Path) -> None:
    meter = OthersMeter(tmp_path)
    for at, (pid, cpus) in enumerate([(os.getppid(), {0}), (1, {0}), (1, {0, 1})]):
        stat(tmp_path, cpu0=100 + at, cpu1=100 + at)
        assert meter.read(pid, frozenset(cpus), at) is None


@pytest.mark.parametrize("text", [None, "", "garbage", "cpu0 1 2"])
def test_without_its_file_it_knows_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        write(tmp_path / "proc/stat", text)
    meter = OthersMeter(tmp_path)
    meter.read(os.getppid(), frozenset({0}), 5.0)
    assert meter.read(os.getppid(), frozenset({0}), 6.0) in {None, 0.0}


def test_a_process_that_is_gone_has_no_others(tmp_path: Path) -> None:
    stat(tmp_path, cpu0=1)
    assert OthersMeter(tmp_path).read(2**22 + 1, frozenset({0}), 5.0) is None


def test_on_this_machine_a_busy_process_is_seen() -> None:
    """With the real files: this test itself is the other program."""
    sampler = Sampler()
    sampler.read(os.getppid(), running=True)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
    choice, reading = sampler.read(os.getppid(), running=True)
    assert choice.threads == reading.most
    assert reading.others is not None
    assert 0.1 < reading.others <= len(os.sched_getaffinity(0)) + 0.5


def test_a_configured_number_of_threads_is_the_choice(tmp_path: Path) -> None:
    choice, reading = Sampler(3, root=tmp_path).read(None, running=False)
    assert choice.threads == reading.most == 3
    assert reading.others is None


def zone(root: Path, number: int, kind: str, **trips: int) -> None:
    folder = root / f"sys/class/thermal/thermal_zone{number}"
    write(folder / "type", kind)
    for index, (name, value) in enumerate(trips.items()):
        write(folder / f"trip_point_{index}_type", name)
        write(folder / f"trip_point_{index}_temp", str(value))


def test_a_raspberry_pi_is_throttled_at_80_degrees(tmp_path: Path) -> None:
    write(tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled", "0")
    zone(tmp_path, 0, "cpu-thermal", critical=110_000)
    assert heat_limit_c(tmp_path) == 80


def test_elsewhere_the_lowest_passive_trip_point_counts(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", active=50_000, passive=85_000, critical=115_000)
    zone(tmp_path, 1, "cpu_thermal", passive=75_000)
    zone(tmp_path, 2, "gpu-thermal", passive=70_000)
    assert heat_limit_c(tmp_path) == 75


def test_a_trip_point_that_nobody_has_set_does_not_count(tmp_path: Path) -> None:
    zone(tmp_path, 0, "x86_pkg_temp", passive=0)
    write(tmp_path / "sys/class/hwmon/hwmon0/name", "coretemp")
    write(tmp_path / "sys/class/hwmon/hwmon0/temp1_crit", "100000")
    write(tmp_path / "sys/class/hwmon/hwmon1/name", "nvme")
    write(tmp_path / "sys/class/hwmon/hwmon1/temp1_crit", "84850")
    assert heat_limit_c(tmp_path) == 100


def test_a_machine_that_says_nothing_has_no_limit(tmp_path: Path) -> None:
    assert heat_limit_c(tmp_path) is None
