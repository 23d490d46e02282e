"""The settings: what can be set, where it comes from, and what can change while the daemon runs."""

from edgeassist.settings.keys import live_keys
from edgeassist.settings.schema import Settings
from edgeassist.settings.sources import Loaded, load_settings

__all__ = ["Loaded", "Settings", "live_keys", "load_settings"]
