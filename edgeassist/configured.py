"""What settings name: what an engine is told needs it, and what commands share with the daemon (`wiring`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import platformdirs

from edgeassist.folders import service_directory
from edgeassist.models.selected import Named
from edgeassist.settings import Settings


def configured_model(settings: Settings) -> Named:
    """Return what `model.path` and `model.backend` name."""
    return Named(settings.model.path, settings.model.backend)


def state_folder_of(settings: Settings) -> Path:
    """Return where states are kept: as set, in systemd's `StateDirectory=`, or in the user's cache."""
    if settings.engine.state_folder is not None:
        return settings.engine.state_folder
    return (service_directory() or platformdirs.user_cache_path("edgeassist")) / "kv"


def number_or_none(value: int | Literal["auto"]) -> int | None:
    """Return a number that is configured; None where the choice is left to us."""
    return None if value == "auto" else value
