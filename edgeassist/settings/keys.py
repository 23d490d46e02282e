"""Where each setting stands, read off the schema."""

from __future__ import annotations

from pydantic.fields import FieldInfo

from edgeassist.settings.schema import Settings
from edgeassist.settings.table import LIVE

# Where a setting stands: a table's name and a key's, or the name of a list of tables, which is one setting.
Key = tuple[str, ...]


def is_list(table: str) -> bool:
    """Whether what stands under this name is a list of tables, each written `[[table]]`."""
    return isinstance(Settings.model_fields[table].default, tuple)


def keys() -> list[Key]:
    """Return where all settings stand, in the order of the schema."""
    found: list[Key] = []
    for table, field in Settings.model_fields.items():
        names = [()] if is_list(table) else [(key,) for key in type(field.default).model_fields]
        found += [(table, *name) for name in names]
    return found


def live_keys() -> list[str]:
    """Return the keys (`table.key`) that are marked `LIVE`."""
    return [".".join(key) for key in keys() if LIVE in field_of(key).metadata]


def field_of(key: Key) -> FieldInfo:
    """Return what pydantic knows of a setting."""
    field = Settings.model_fields[key[0]]
    return field if len(key) == 1 else type(field.default).model_fields[key[1]]
