"""The settings with what was tuned below them, as the daemon takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgeassist.errors import ConfigurationError, EdgeAssistError
from edgeassist.folders import state_directory
from edgeassist.models.choice import choose_model
from edgeassist.models.selected import Named, select
from edgeassist.settings import Loaded, Settings, load_settings
from edgeassist.settings.sources import Tuned
from edgeassist.tuning.identity import fingerprint, library_of, this_device
from edgeassist.tuning.kept import NAME, Result, read_kept, stale, tables_of


def load_with_tuned(file: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read all sources, and what `edgeassist tune --apply` has kept for this model on this device.

    What is kept and can't be used is no error: `Loaded.remark` says why.

    Raises:
        ConfigurationError: As `load_settings`.
    """
    loaded = load_settings(file, environ=environ)
    folder = state_directory(environ)
    try:
        results = [each for each in read_kept(folder).results if each.applied]
        if not results:
            return loaded
        applied = _find(loaded.settings, results, folder)
        if applied is None:
            return loaded
        origin = f"tuned {folder / NAME}"
        return load_settings(file, environ=environ, tuned=Tuned(tables_of(applied), origin))
    except EdgeAssistError as error:
        return replace(loaded, remark=f"what was tuned is not used: {error.message}")


def _find(settings: Settings, results: list[Result], folder: Path) -> Mapping[str, int | str] | None:
    """Return what was applied for the model that is served; None: nothing was.

    Raises:
        EdgeAssistError: It was, and does not hold here.
    """
    named = select(Named(settings.model.path, settings.model.backend), folder).named
    choice = choose_model(named.path, named.backend)
    if choice.path is None:
        return None
    digest = fingerprint(choice.path)
    known = next((each for each in results if each.fingerprint == digest), None)
    if known is None:
        raise ConfigurationError("it was measured with another model: edgeassist tune measures this one")
    why = stale(known, this_device(), library_of(choice.backend))
    if why is not None:
        raise ConfigurationError(f"{why}: edgeassist tune measures anew")
    return known.applied
