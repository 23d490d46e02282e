from pathlib import Path, PurePath

import pytest

from edgeassist.device.mounts import Mount, mount_of, outlives_boots

PI = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,size=12334524k,mode=755
27 1 179:2 / / rw,noatime shared:1 master:2 - ext4 /dev/mmcblk0p2 rw
30 27 0:24 / /tmp rw,nosuid - tmpfs tmpfs rw
31 27 0:25 / /var/lib/edge\\040assist rw - tmpfs tmpfs rw
32 27 8:1 / /media/usb rw - vfat /dev/sda1 rw
33 27 253:0 / /var/log rw - ext4 /dev/zram1 rw
"""
PROTECTED = """\
27 1 0:30 / / rw,relatime - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay
28 27 179:2 / /media/root-ro ro - ext4 /dev/mmcblk0p2 ro
29 27 0:28 / /media/root-rw rw - tmpfs tmpfs-root rw
35 27 179:3 / /data rw - ext4 /dev/mmcblk0p3 rw
"""


@pytest.mark.parametrize(
    ("mountinfo", "folder", "mount"),
    [
        (PI, "/var/lib/edgeassist/kv", Mount("ext4", "/dev/mmcblk0p2")),
        (PI, "/tmp/kv", Mount("tmpfs", "tmpfs")),  # noqa: S108 - a name
        (PI, "/tmpfiles/kv", Mount("ext4", "/dev/mmcblk0p2")),  # noqa: S108 - a name
        (PI, "/var/lib/edge assist/kv", Mount("tmpfs", "tmpfs")),
        (PI, "/media/usb", Mount("vfat", "/dev/sda1")),
        (PROTECTED, "/var/lib/edgeassist", Mount("overlay", "overlayroot")),
        (PROTECTED, "/data/kv", Mount("ext4", "/dev/mmcblk0p3")),
        (PI + "40 27 0:40 / /media/usb rw - tmpfs none rw\n", "/media/usb/kv", Mount("tmpfs", "none")),
        ("", "/var/lib", None),
        ("what is this?\n1 2 3 -\n", "/var/lib", None),
    ],
)
def test_a_folder_is_on_what_was_mounted_nearest_above_it(
    mountinfo: str, folder: str, mount: Mount | None
) -> None:
    assert mount_of(mountinfo, PurePath(folder)) == mount


@pytest.mark.parametrize(
    ("mountinfo", "folder", "kept"),
    [
        (PI, "/var/lib/edgeassist/kv", True),
        (PI, "/tmp/kv", False),  # noqa: S108 - a name
        (PI, "/var/log/kv", False),
        (PROTECTED, "/var/lib/edgeassist", False),
        (PROTECTED, "/data/kv", True),
        ("", "/var/lib", True),
    ],
)
def test_memory_and_overlays_keep_nothing(tmp_path: Path, mountinfo: str, folder: str, *, kept: bool) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(mountinfo)
    assert outlives_boots(Path(folder), tmp_path) is kept


def test_a_machine_that_tells_nothing_of_its_mounts_is_believed_to_keep_things(
    tmp_path: Path,
) -> None:
    assert outlives_boots(Path("/var/lib"), tmp_path)


def test_the_tmpfs_of_this_machine_is_known() -> None:
    shared = Path("/dev/shm")  # noqa: S108 - a name
    if not shared.is_mount():
        pytest.skip("there is no /dev/shm here")
    assert not outlives_boots(shared / "edgeassist" / "kv")
