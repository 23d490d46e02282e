"""The settings: what can be set, where it comes from, and what can change while the daemon runs."""

from edgeassist.settings.reload import Reloaded, merge
from edgeassist.settings.schema import Settings
from edgeassist.settings.sources import ENV_FILE, Loaded, load_settings

__all__ = ["ENV_FILE", "Loaded", "Reloaded", "Settings", "load_settings", "merge"]
