"""Whether there is enough free space: in memory, for the state folder, on disks. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeassist.doctor.finding import ok, problem, warning
from edgeassist.protocol.findings import Finding

_MIB = 1 << 20
# With less, the kernel evicts the code of running programs.
_LEAST_MEMORY = 100 * _MIB
# With less, updates and logs fail. (Debian's journal keeps 15 % free by itself: journald.conf(5).)
_LEAST_DISK = 200 * _MIB
# The share of time, in percent of the last 60 s, from which on people notice.
_PRESSED = 20.0


@dataclass(frozen=True, slots=True)
class SpaceSnapshot:
    """What was measured; sizes in bytes, None if unknown.

    Attributes:
        memory_pressure: The percentage of the last minute that some task waited for memory.
        io_pressure: The same for disks.
        state_folder: Where states are kept; None if nowhere, or if the settings can't be used.
        state_writable: Whether `user` may write there.
        state_outlives_boots: Whether what is written there outlives the next boot.
        state_free_bytes: Free on the state folder's disk.
        state_bytes: The most that may be written there.
        user: The user that the daemon runs as.
    """

    memory_available_bytes: int | None
    memory_pressure: float | None
    io_pressure: float | None
    root_free_bytes: int | None
    state_folder: Path | None = None
    state_writable: bool | None = None
    state_free_bytes: int | None = None
    state_bytes: int = 0
    user: str = ""
    state_outlives_boots: bool = True


def check_space(snapshot: SpaceSnapshot) -> Iterator[Finding]:
    """Judge free space in memory and on disks."""
    findings = [*_check_memory(snapshot), *_check_disk(snapshot)]
    yield from findings
    if not findings:
        memory, disk = snapshot.memory_available_bytes, snapshot.root_free_bytes
        free = [
            f"{size // _MIB} MiB of {name}" for size, name in ((memory, "memory"), (disk, "disk")) if size
        ]
        yield ok("room", f"{' and '.join(free) or 'nothing is known to be short'}{' free' if free else ''}")


def _check_memory(snapshot: SpaceSnapshot) -> Iterator[Finding]:
    available = snapshot.memory_available_bytes
    if available is not None and available < _LEAST_MEMORY:
        yield warning(
            "memory",
            f"only {available // _MIB} MiB of memory can be had",
            "see what takes it: ps aux --sort=-rss | head",
        )
    if snapshot.memory_pressure is not None and snapshot.memory_pressure >= _PRESSED:
        yield warning(
            "memory",
            f"tasks waited for memory during {snapshot.memory_pressure:.0f} % of the last minute: it swaps, "
            "or reads programs again and again",
            "choose a smaller model (edgeassist recommend), or see what takes it: ps aux --sort=-rss | head",
        )


def _check_disk(snapshot: SpaceSnapshot) -> Iterator[Finding]:
    if snapshot.state_folder is not None and snapshot.state_writable is False:
        yield problem(
            "disk",
            f"{snapshot.user or 'the daemon'} may not write in {snapshot.state_folder}: nothing is kept for "
            "the next start",
            f"sudo mkdir -p '{snapshot.state_folder}' && sudo chown {snapshot.user or '$USER'} "
            f"'{snapshot.state_folder}'",
        )
    if snapshot.state_folder is not None and not snapshot.state_outlives_boots:
        yield warning(
            "disk",
            f"{snapshot.state_folder} is in memory or on an overlay: nothing is kept for the next start",
            "set engine.state_folder to a folder on a disk (a container's volume), or engine.state_mb to 0",
        )
    state = snapshot.state_free_bytes
    if state is not None and state < snapshot.state_bytes:
        yield warning(
            "disk",
            f"{state // _MIB} MiB are free where states are kept, which may take "
            f"{snapshot.state_bytes // _MIB}",
            "lower engine.state_mb, or make room: sudo journalctl --vacuum-size=50M; sudo apt-get clean",
        )
    root = snapshot.root_free_bytes
    if root is not None and root < _LEAST_DISK:
        yield warning(
            "disk",
            f"only {root // _MIB} MiB are free on the system's disk",
            "make room: sudo journalctl --vacuum-size=50M; sudo apt-get clean",
        )
    if snapshot.io_pressure is not None and snapshot.io_pressure >= _PRESSED:
        yield warning(
            "disk",
            f"tasks waited for the disk during {snapshot.io_pressure:.0f} % of the last minute",
            "see which: sudo apt-get install iotop-c && sudo iotop -o",
        )
