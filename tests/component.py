"""Makes the pure modules of custom_components/edgeassist importable where there is no Home Assistant.

The package imports `homeassistant`, which has an environment of its own. So it is put in place here without
running it. What needs Home Assistant raises ImportError as it would.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "custom_components" / "edgeassist"
NAME = "custom_components.edgeassist"


def install() -> None:
    """Put the bare package in place."""
    if NAME not in sys.modules:
        package = ModuleType(NAME)
        package.__path__ = [str(FOLDER)]
        sys.modules[NAME] = package
