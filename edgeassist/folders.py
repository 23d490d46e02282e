"""Where the device's own files are kept, whoever asks: the daemon, or a person's command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

# systemd's `StateDirectory=` of the service that scripts/install.sh lays.
SERVICE = Path("/var/lib/edgeassist")


def state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder for what outlives a run: systemd's, or the user's own; it need not exist.

    Args:
        environ: The environment; None for this process's.
    """
    return service_directory(environ) or platformdirs.user_state_path("edgeassist")


def service_directory(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return what systemd names as this process's state directory; None: it is no service.

    Args:
        environ: The environment; None for this process's.
    """
    given = (os.environ if environ is None else environ).get("STATE_DIRECTORY")
    return Path(given.split(":")[0]) if given else None


def runtime_directory(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the folder for what outlives a run, and no boot: in memory. It need not exist.

    That is systemd's `RuntimeDirectory=`, or one of the user's own; None where there is neither.

    Args:
        environ: The environment; None for this process's.
    """
    given = os.environ if environ is None else environ
    if service := given.get("RUNTIME_DIRECTORY"):
        return Path(service.split(":")[0])
    user = given.get("XDG_RUNTIME_DIR")
    return Path(user) / "edgeassist" if user else None


def box_state_directory(
    environ: Mapping[str, str] | None = None, service: Path = SERVICE, *, to_write: bool = False
) -> Path:
    """Return the state directory of this box's daemon, for a command that has no `STATE_DIRECTORY`.

    That is the installed service's, where it may be read, or written; else the user's own.

    Args:
        environ: The environment; None for this process's.
        service: The service's folder.
        to_write: Whether something is to be kept there.
    """
    access = os.R_OK | os.X_OK | (os.W_OK if to_write else 0)
    installed = service if os.access(service, access) else state_directory(environ)
    return service_directory(environ) or installed
