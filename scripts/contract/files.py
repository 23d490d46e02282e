"""The files that are generated, and what makes each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.contract import document, settings

_PROJECT = Path(__file__).parents[2]

FILES: Mapping[Path, Callable[[], str]] = {
    _PROJECT / "docs/asyncapi.yaml": document.text,
    _PROJECT / "edgeassist/assets/settings.schema.json": settings.text,
}
