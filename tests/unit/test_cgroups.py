from pathlib import Path

import psutil
import pytest

from edgeassist.device.cgroups import CpuQuota, memory_limit_bytes
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.memory import available_memory_bytes
from tests.unit.trees import MIB, V1_CPU_MOUNT, V1_MEMORY_MOUNT, V1_UNLIMITED, V2, V2_MOUNT, plant, v1, v2


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


def test_an_empty_tree_has_no_limit(tmp_path: Path) -> None:
    assert memory_limit_bytes(tmp_path) is None


def test_a_quota_that_changes_is_seen_and_so_is_another_cgroup(tmp_path: Path) -> None:
    v2(tmp_path, "/a", {"a/cpu.max": "50000 100000", "b/cpu.max": "150000 100000"})
    quota = CpuQuota(tmp_path)
    assert quota.read() == 0.5
    v2(tmp_path, "/a", {"a/cpu.max": "75000 100000"})
    assert quota.read() == 0.75
    v2(tmp_path, "/b", {})
    assert quota.read() == 1.5
