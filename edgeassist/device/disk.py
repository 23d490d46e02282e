"""How much room a folder has."""

from __future__ import annotations

import os
from pathlib import Path


def disk_free_bytes(folder: Path) -> int | None:
    """Return the bytes that a user without privileges can still write there.

    A folder that is not there yet counts as the nearest one above it that is.
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
