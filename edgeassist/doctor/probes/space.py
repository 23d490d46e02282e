"""Free space, in memory and on disks."""

from __future__ import annotations

from pathlib import Path

from edgeassist.device.disk import disk_free_bytes
from edgeassist.device.memory import available_memory_bytes
from edgeassist.device.mounts import outlives_boots
from edgeassist.device.pressure import Resource, read_pressure
from edgeassist.doctor.checks.space import SpaceSnapshot
from edgeassist.doctor.probes.permissions import User, may_write


def probe_space(state_folder: Path | None, state_bytes: int, user: User) -> SpaceSnapshot:
    """Measure free space.

    Args:
        state_folder: Where states are kept; None if nowhere, or if the settings can't be used.
        state_bytes: The most that may be written there.
        user: The user that the daemon runs as.
    """
    memory, io = read_pressure(Resource.MEMORY), read_pressure(Resource.IO)
    return SpaceSnapshot(
        memory_available_bytes=available_memory_bytes(),
        memory_pressure=None if memory is None else memory.avg60,
        io_pressure=None if io is None else io.avg60,
        root_free_bytes=disk_free_bytes(Path("/")),
        state_folder=state_folder,
        state_writable=None if state_folder is None else may_write(user, state_folder),
        state_free_bytes=None if state_folder is None else disk_free_bytes(state_folder),
        state_bytes=state_bytes,
        user=user.name,
        state_outlives_boots=state_folder is None or outlives_boots(state_folder),
    )
