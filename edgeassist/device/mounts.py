"""Whether what is written to a folder is still there after the next boot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

# An overlay's upper layer is in memory on boxes that protect their memory card so, and in a container it goes
# with that.
_GONE = frozenset({"tmpfs", "ramfs", "rootfs", "overlay", "aufs"})
_ZRAM = "/dev/zram"
_LINE = re.compile(r"(?:\S+ ){4}(?P<point>\S+) .*? - (?P<type>\S+) (?P<source>\S+)")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: its type, and what is mounted, such as a device."""

    type: str
    source: str


def mount_of(mountinfo: str, folder: PurePath) -> Mount | None:
    """Return what a folder is on; None if that is not told.

    Args:
        mountinfo: As /proc/self/mountinfo has it (proc_pid_mountinfo(5)).
        folder: Absolute, without links.
    """
    found, longest = None, -1
    for line in mountinfo.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        point = PurePath(_unescape(match["point"]))
        # What is mounted later lies above.
        if folder.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = Mount(match["type"], _unescape(match["source"])), len(point.parts)
    return found


def outlives_boots(folder: Path, root: Path = Path("/")) -> bool:
    """Whether a folder, which need not exist yet, keeps what is written to it; true if that is not known."""
    try:
        mountinfo = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        mount = mount_of(mountinfo, folder.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return True
    return mount is None or not (mount.type in _GONE or mount.source.startswith(_ZRAM))


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
