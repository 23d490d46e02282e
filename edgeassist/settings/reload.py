"""What new settings change while the daemon runs, and what has to wait for its next start. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.settings.schema import Settings

# Whole tables, and single keys of the others.
_LIVE_TABLES = frozenset({"sampling", "admission", "stream", "session", "homeassistant", "daemon"})
_LIVE_KEYS = {"model": ("system",), "mqtt": ("reply_prefixes",)}


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The settings in force after a reload, and the keys (`table.key`) that changed now or will later."""

    settings: Settings
    applied: list[str]
    restart_needed: list[str]


def merge(old: Settings, new: Settings) -> Reloaded:
    """Return the old settings with what can change live taken from the new ones."""
    applied, restart_needed, tables = [], [], {}
    for table in Settings.model_fields:
        before, after = getattr(old, table), getattr(new, table)
        changes = {
            key: getattr(after, key)
            for key in type(before).model_fields
            if getattr(before, key) != getattr(after, key)
        }
        live = {
            key: value
            for key, value in changes.items()
            if table in _LIVE_TABLES or key in _LIVE_KEYS.get(table, ())
        }
        tables[table] = before.model_copy(update=live)
        applied += [f"{table}.{key}" for key in live]
        restart_needed += [f"{table}.{key}" for key in changes if key not in live]
    return Reloaded(old.model_copy(update=tables), applied, restart_needed)
