"""Trees of small files, as /proc and /sys hold them."""

from pathlib import Path

V2 = "sys/fs/cgroup"
V2_MOUNT = "35 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU_MOUNT = "33 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY_MOUNT = "34 24 0:29 / /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory"
V1_UNLIMITED = 9223372036854771712
MIB = 1 << 20


def plant(root: Path, files: dict[str, object]) -> Path:
    """Write a tree of small files."""
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
