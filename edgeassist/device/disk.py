"""Free disk space."""

from __future__ import annotations

import os
from pathlib import Path


def disk_free_bytes(folder: Path) -> int | None:
    """Return the bytes that an unprivileged user can still write on the folder's disk; None if unknown.

    For a folder that does not exist yet, the nearest existing folder above it counts.
    """
    for place in (folder, *folder.absolute().parents):
        try:
            status = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return status.f_bavail * status.f_frsize
    return None
