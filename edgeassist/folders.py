"""Where the device's own files are kept, whoever asks: the daemon, or a person's command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

# systemd's `StateDirectory=` of the service that scripts/install.sh lays.
SERVICE = Path("/var/lib/edgeassist")


def state_directory(environ: Mapping[str, str] | None = None, service: Path = SERVICE) -> Path:
    """Return the folder for what outlives a run; it need not exist.

    systemd names the service's. A command that may look into it, as root may, takes the same; else it is the
    user's own.

    Args:
        environ: The environment; None for this process's.
        service: The service's folder.
    """
    given = (os.environ if environ is None else environ).get("STATE_DIRECTORY")
    if given:
        return Path(given.split(":")[0])
    if os.access(service, os.R_OK | os.X_OK):
        return service
    return Path(platformdirs.user_state_path("edgeassist"))
