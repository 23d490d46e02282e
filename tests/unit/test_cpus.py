import os
from pathlib import Path

import pytest

from edgeassist.device.cores import LogicalCpu, choose_threads
from edgeassist.device.cpus import (
    FrequencyPolicy,
    fastest_policy_folder,
    frequency_mhz,
    read_cpu_snapshot,
    read_frequency_policies,
)
from tests.unit.trees import plant

CPU = "sys/devices/system/cpu"


@pytest.fixture
def four_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


def test_this_machine_is_read_without_an_error() -> None:
    snapshot = read_cpu_snapshot()
    assert snapshot.allowed == os.sched_getaffinity(0)
    assert 1 <= choose_threads(snapshot).threads <= len(snapshot.allowed)


@pytest.mark.usefixtures("four_allowed")
def test_an_empty_tree_leaves_only_the_affinity_mask(tmp_path: Path) -> None:
    snapshot = read_cpu_snapshot(tmp_path)
    assert snapshot.cpus == tuple(LogicalCpu(number) for number in range(4))
    assert snapshot.quota is None


@pytest.mark.usefixtures("four_allowed")
def test_topology_capacity_and_frequency_are_read_for_each_allowed_processor(tmp_path: Path) -> None:
    for number in range(8):
        plant(
            tmp_path / f"{CPU}/cpu{number}",
            {
                "topology/physical_package_id": 0,
                "topology/core_id": number % 4,
                "topology/core_cpus_list": number,
                "cpu_capacity": 397 if number < 2 else 1024,
                "cpufreq/cpuinfo_max_freq": 1_800_000,
            },
        )
    cpus = read_cpu_snapshot(tmp_path).cpus
    assert [cpu.number for cpu in cpus] == [0, 1, 2, 3]
    assert cpus[1] == LogicalCpu(
        1, package=0, core=1, siblings=frozenset({1}), capacity=397, max_frequency_khz=1_800_000
    )
    assert choose_threads(read_cpu_snapshot(tmp_path)).threads == 2


@pytest.mark.usefixtures("four_allowed")
@pytest.mark.parametrize("name", ["core_cpus_list", "thread_siblings_list"])
def test_siblings_are_read_under_the_new_and_the_old_name(tmp_path: Path, name: str) -> None:
    for number in range(4):
        plant(tmp_path, {f"{CPU}/cpu{number}/topology/{name}": "0-1" if number < 2 else "2,3"})
    snapshot = read_cpu_snapshot(tmp_path)
    first, second = frozenset({0, 1}), frozenset({2, 3})
    assert [cpu.siblings for cpu in snapshot.cpus] == [first, first, second, second]
    assert choose_threads(snapshot).threads == 2


@pytest.mark.usefixtures("four_allowed")
def test_an_intel_hybrid_names_its_performance_cores(tmp_path: Path) -> None:
    plant(tmp_path, {"sys/devices/cpu_core/cpus": "0-1", "sys/devices/cpu_atom/cpus": "2-3"})
    snapshot = read_cpu_snapshot(tmp_path)
    assert [cpu.performance_core for cpu in snapshot.cpus] == [True, True, False, False]


@pytest.mark.usefixtures("four_allowed")
@pytest.mark.parametrize("garbage", ["", "-1", "none", "0-", "0-99999999", "0-9000", b"\xff\x00\xfe"])
def test_garbled_processor_files_are_unknown(tmp_path: Path, garbage: object) -> None:
    files = ("topology/core_cpus_list", "topology/core_id", "cpufreq/cpuinfo_max_freq")
    plant(tmp_path, {f"{CPU}/cpu0/{name}": garbage for name in files})
    plant(tmp_path, {"sys/devices/cpu_core/cpus": garbage})
    assert read_cpu_snapshot(tmp_path).cpus[0] == LogicalCpu(0)


@pytest.mark.usefixtures("four_allowed")
def test_siblings_that_leave_out_the_processor_itself_are_unknown(tmp_path: Path) -> None:
    plant(tmp_path, {f"{CPU}/cpu0/topology/core_cpus_list": "2-3"})
    assert read_cpu_snapshot(tmp_path).cpus[0].siblings is None


@pytest.mark.usefixtures("four_allowed")
def test_a_core_id_of_minus_one_is_unknown(tmp_path: Path) -> None:
    for number in range(4):
        plant(
            tmp_path / f"{CPU}/cpu{number}/topology",
            {"physical_package_id": -1, "core_id": -1},
        )
    assert choose_threads(read_cpu_snapshot(tmp_path)).threads == 4


def test_the_frequency_is_that_of_the_fastest_processors(tmp_path: Path) -> None:
    for first, most, now in ((0, 1_800_000, 408_000), (4, 2_400_000, 2_208_000), (6, 2_256_000, 816_000)):
        policy = f"{CPU}/cpufreq/policy{first}"
        plant(tmp_path, {f"{policy}/cpuinfo_max_freq": most, f"{policy}/scaling_cur_freq": now})
    folder = fastest_policy_folder(tmp_path)
    assert folder is not None
    assert frequency_mhz(folder) == 2208


def test_without_cpufreq_there_is_no_frequency(tmp_path: Path) -> None:
    assert fastest_policy_folder(tmp_path) is None
    assert frequency_mhz(tmp_path) is None
    assert read_frequency_policies(tmp_path) == ()


def test_a_policy_tells_its_governor_and_its_limits(tmp_path: Path) -> None:
    policy = f"{CPU}/cpufreq/policy0"
    values = {"scaling_governor": "powersave", "scaling_driver": "cpufreq-dt", "scaling_max_freq": 600_000}
    plant(tmp_path, {f"{policy}/{name}": value for name, value in values.items()})
    assert read_frequency_policies(tmp_path) == (FrequencyPolicy("powersave", "cpufreq-dt", 600_000, None),)
