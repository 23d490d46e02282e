import os
from pathlib import Path

import psutil
import pytest

from edgeassist.device.cores import LogicalCpu, choose_threads
from edgeassist.device.sensors import (
    ThrottledFlags,
    available_memory_bytes,
    cpu_temperature_c,
    memory_limit_bytes,
    read_cpu_snapshot,
    throttled_flags,
)

CPU = "sys/devices/system/cpu"
V2 = "sys/fs/cgroup"
V2_MOUNT = "35 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU_MOUNT = "33 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY_MOUNT = "34 24 0:29 / /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory"
V1_UNLIMITED = 9223372036854771712
MIB = 1 << 20


def plant(root: Path, files: dict[str, object]) -> Path:
    """Write a tree of small files, as /proc and /sys hold them."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    return root


def v2(root: Path, own: str, files: dict[str, object], *, mount: str = V2_MOUNT) -> Path:
    noise = "21 1 8:2 / / rw - ext4 /dev/sda2 rw\nnot a mount"
    plant(root, {"proc/self/cgroup": f"0::{own}", "proc/self/mountinfo": f"{noise}\n{mount}"})
    return plant(root, {f"{V2}/{name}": content for name, content in files.items()})


def v1(root: Path, own: str, files: dict[str, object], *, mounts: tuple[str, ...] = ()) -> Path:
    membership = f"12:pids:{own}\n4:cpu,cpuacct:{own}\ngarbled\n3:memory:{own}\n1:name=systemd:{own}"
    mountinfo = "\n".join(mounts or (V1_CPU_MOUNT, V1_MEMORY_MOUNT))
    plant(root, {"proc/self/cgroup": membership, "proc/self/mountinfo": mountinfo})
    return plant(root, {f"{V2}/{name}": content for name, content in files.items()})


@pytest.fixture
def four_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


def test_this_machine_is_read_without_an_error() -> None:
    snapshot = read_cpu_snapshot()
    assert snapshot.allowed == os.sched_getaffinity(0)
    assert 1 <= choose_threads(snapshot).threads <= len(snapshot.allowed)
    cpu_temperature_c()
    throttled_flags()
    memory_limit_bytes()


@pytest.mark.usefixtures("four_allowed")
def test_an_empty_tree_leaves_only_the_affinity_mask(tmp_path: Path) -> None:
    snapshot = read_cpu_snapshot(tmp_path)
    assert snapshot.cpus == tuple(LogicalCpu(number) for number in range(4))
    assert snapshot.quota is None
    assert memory_limit_bytes(tmp_path) is None
    assert cpu_temperature_c(tmp_path) is None
    assert throttled_flags(tmp_path) is None


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


def test_a_directory_in_place_of_a_file_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "proc/self/cgroup").mkdir(parents=True)
    assert read_cpu_snapshot(tmp_path).quota is None


@pytest.mark.parametrize(
    ("levels", "quota"),
    [
        pytest.param({"": "max 100000"}, None, id="none"),
        pytest.param({"system.slice/edge.service": "150000 100000"}, 1.5, id="own"),
        pytest.param({"system.slice": "50000 100000"}, 0.5, id="parent"),
        pytest.param(
            {"": "400000 100000", "system.slice": "100000 50000", "system.slice/edge.service": "max 100000"},
            2.0,
            id="parent tighter than mount",
        ),
        pytest.param(
            {"system.slice": "300000 100000", "system.slice/edge.service": "250000 100000"},
            2.5,
            id="own tighter",
        ),
        pytest.param({"user.slice": "10000 100000"}, None, id="another cgroup's"),
        pytest.param({"system.slice/edge.service": "garbled"}, None, id="garbled"),
        pytest.param({"system.slice/edge.service": "50000 0"}, None, id="no period"),
    ],
)
def test_the_tightest_v2_quota_along_the_hierarchy_counts(
    tmp_path: Path, levels: dict[str, str], quota: float | None
) -> None:
    v2(tmp_path, "/system.slice/edge.service", {f"{level}/cpu.max": text for level, text in levels.items()})
    assert read_cpu_snapshot(tmp_path).quota == quota


def test_in_a_cgroup_namespace_the_mount_point_is_the_own_cgroup(tmp_path: Path) -> None:
    v2(tmp_path, "/", {"cpu.max": "50000 100000", "memory.max": 512 * MIB})
    assert read_cpu_snapshot(tmp_path).quota == 0.5
    assert memory_limit_bytes(tmp_path) == 512 * MIB


@pytest.mark.parametrize("own", ["/docker/abc", "/../../user.slice", "/"])
def test_when_the_own_path_is_not_below_the_mount_the_mount_point_is_read(tmp_path: Path, own: str) -> None:
    mount = V2_MOUNT.replace("0:30 / ", "0:30 /kubepods/pod1 ")
    v2(tmp_path, own, {"cpu.max": "50000 100000"}, mount=mount)
    assert read_cpu_snapshot(tmp_path).quota == 0.5


def test_a_path_that_climbs_out_of_the_namespace_stays_inside_the_mount(tmp_path: Path) -> None:
    v2(tmp_path, "/../sibling", {"cpu.max": "200000 100000", "../sibling/cpu.max": "10000 100000"})
    assert read_cpu_snapshot(tmp_path).quota == 2.0


def test_a_mount_of_the_own_cgroup_itself_is_read(tmp_path: Path) -> None:
    mount = V2_MOUNT.replace("0:30 / ", "0:30 /system.slice ")
    v2(tmp_path, "/system.slice/edge.service", {"edge.service/cpu.max": "150000 100000"}, mount=mount)
    assert read_cpu_snapshot(tmp_path).quota == 1.5


def test_a_mount_point_with_a_space_is_found(tmp_path: Path) -> None:
    mount = V2_MOUNT.replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040groups")
    v2(tmp_path, "/a:b", {"my groups/a:b/cpu.max": "150000 100000"}, mount=mount)
    assert read_cpu_snapshot(tmp_path).quota == 1.5


@pytest.mark.parametrize(
    ("own_quota", "parent_quota", "quota"),
    [(-1, -1, None), (150000, -1, 1.5), (150000, 50000, 0.5), (0, -1, None)],
)
def test_the_tightest_v1_quota_along_the_hierarchy_counts(
    tmp_path: Path, own_quota: int, parent_quota: int, quota: float | None
) -> None:
    v1(
        tmp_path,
        "/docker/abc",
        {
            "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": own_quota,
            "cpu,cpuacct/docker/abc/cpu.cfs_period_us": 100000,
            "cpu,cpuacct/docker/cpu.cfs_quota_us": parent_quota,
            "cpu,cpuacct/docker/cpu.cfs_period_us": 100000,
        },
    )
    assert read_cpu_snapshot(tmp_path).quota == quota


def test_a_v1_container_finds_its_cgroup_at_the_mount_point(tmp_path: Path) -> None:
    v1(
        tmp_path,
        "/docker/abc",
        {
            "cpu,cpuacct/cpu.cfs_quota_us": 50000,
            "cpu,cpuacct/cpu.cfs_period_us": 100000,
            "memory/memory.limit_in_bytes": 256 * MIB,
        },
        mounts=tuple(mount.replace(" / ", " /docker/abc ", 1) for mount in (V1_CPU_MOUNT, V1_MEMORY_MOUNT)),
    )
    assert read_cpu_snapshot(tmp_path).quota == 0.5
    assert memory_limit_bytes(tmp_path) == 256 * MIB


def test_in_a_hybrid_hierarchy_both_versions_count(tmp_path: Path) -> None:
    mounts = f"{V1_CPU_MOUNT}\n{V2_MOUNT.replace('/sys/fs/cgroup', '/sys/fs/cgroup/unified')}"
    plant(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/edge\n1:name=systemd:/edge\n0::/edge",
            "proc/self/mountinfo": mounts,
            f"{V2}/cpu,cpuacct/edge/cpu.cfs_quota_us": 300000,
            f"{V2}/cpu,cpuacct/edge/cpu.cfs_period_us": 100000,
            f"{V2}/unified/edge/memory.max": 64 * MIB,
        },
    )
    assert read_cpu_snapshot(tmp_path).quota == 3.0
    assert memory_limit_bytes(tmp_path) == 64 * MIB


@pytest.mark.parametrize(
    ("own", "parent", "limit"),
    [("max", "max", None), (100 * MIB, "max", 100 * MIB), ("max", 50 * MIB, 50 * MIB), ("?", "max", None)],
)
def test_the_tightest_v2_memory_limit_counts(
    tmp_path: Path, own: object, parent: object, limit: int | None
) -> None:
    v2(tmp_path, "/app/edge", {"app/edge/memory.max": own, "app/memory.max": parent})
    assert memory_limit_bytes(tmp_path) == limit


@pytest.mark.parametrize(("limit", "expected"), [(V1_UNLIMITED, None), (128 * MIB, 128 * MIB)])
def test_the_v1_unlimited_value_is_no_limit(tmp_path: Path, limit: int, expected: int | None) -> None:
    v1(tmp_path, "/edge", {"memory/edge/memory.limit_in_bytes": limit})
    assert memory_limit_bytes(tmp_path) == expected


def test_available_memory_without_a_limit_is_the_machines(tmp_path: Path) -> None:
    v2(tmp_path, "/edge", {"edge/memory.max": "max", "edge/memory.current": 5 * MIB})
    available = available_memory_bytes(tmp_path)
    assert available is not None
    assert 0 < available <= psutil.virtual_memory().total


def test_available_memory_is_unknown_where_a_sandbox_hides_meminfo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert available_memory_bytes(tmp_path) is None


def test_available_memory_is_what_the_tightest_cgroup_leaves(tmp_path: Path) -> None:
    v2(
        tmp_path,
        "/app/edge",
        {
            "app/edge/memory.max": 8 * MIB,
            "app/edge/memory.current": 1 * MIB,
            "app/memory.max": 9 * MIB,
            "app/memory.current": 6 * MIB,
        },
    )
    assert available_memory_bytes(tmp_path) == 3 * MIB


def test_cached_files_count_as_available_in_v2(tmp_path: Path) -> None:
    v2(
        tmp_path,
        "/edge",
        {
            "edge/memory.max": 8 * MIB,
            "edge/memory.current": 7 * MIB,
            "edge/memory.stat": f"anon 1\nfile 9\nactive_file 3\ninactive_file {2 * MIB}",
        },
    )
    assert available_memory_bytes(tmp_path) == 3 * MIB


def test_cached_files_count_as_available_in_v1(tmp_path: Path) -> None:
    v1(
        tmp_path,
        "/edge",
        {
            "memory/edge/memory.limit_in_bytes": 8 * MIB,
            "memory/edge/memory.usage_in_bytes": 7 * MIB,
            "memory/edge/memory.stat": f"inactive_file 7\ntotal_inactive_file {2 * MIB}",
        },
    )
    assert available_memory_bytes(tmp_path) == 3 * MIB


def test_a_cgroup_above_its_limit_leaves_nothing(tmp_path: Path) -> None:
    v2(tmp_path, "/edge", {"edge/memory.max": 2 * MIB, "edge/memory.current": 3 * MIB})
    assert available_memory_bytes(tmp_path) == 0


def zones(root: Path, **types: object) -> Path:
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


FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
PI_5_FIRMWARE = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
QUIET = ThrottledFlags(*[False] * 8)


@pytest.mark.parametrize("path", [FIRMWARE, PI_5_FIRMWARE])
@pytest.mark.parametrize(
    ("text", "raised"),
    [
        ("0", set()),
        ("1", {"under_voltage"}),
        ("2", {"frequency_capped"}),
        ("4", {"throttled"}),
        ("8", {"soft_temperature_limit"}),
        ("10000", {"under_voltage_occurred"}),
        ("20000", {"frequency_capped_occurred"}),
        ("40000", {"throttled_occurred"}),
        ("80000", {"soft_temperature_limit_occurred"}),
        (
            "0x50005",
            {"under_voltage", "throttled", "under_voltage_occurred", "throttled_occurred"},
        ),
    ],
)
def test_each_bit_of_a_pis_firmware_has_its_meaning(
    tmp_path: Path, path: str, text: str, raised: set[str]
) -> None:
    flags = throttled_flags(plant(tmp_path, {path: text}))
    assert flags is not None
    assert {name for name in ThrottledFlags.__dataclass_fields__ if getattr(flags, name)} == raised
    if not raised:
        assert flags == QUIET


@pytest.mark.parametrize("garbage", ["", "throttled=0x0", b"\xff"])
def test_garbled_throttled_flags_are_unknown(tmp_path: Path, garbage: object) -> None:
    assert throttled_flags(plant(tmp_path, {FIRMWARE: garbage})) is None


@pytest.mark.parametrize("alarm", [True, False])
def test_without_the_firmware_file_the_voltage_alarm_tells_of_under_voltage_alone(
    tmp_path: Path, *, alarm: bool
) -> None:
    hwmon = "sys/class/hwmon/hwmon1"
    plant(tmp_path, {"sys/class/hwmon/hwmon0/name": "rp1_adc"})
    plant(tmp_path, {f"{hwmon}/name": "rpi_volt", f"{hwmon}/in0_lcrit_alarm": int(alarm)})
    assert throttled_flags(tmp_path) == ThrottledFlags(under_voltage=alarm, under_voltage_occurred=alarm)
