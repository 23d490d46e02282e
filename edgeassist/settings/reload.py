"""What a reload changes in a running daemon, and what has to wait for its next start. Sans-I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edgeassist.errors import EdgeAssistError
from edgeassist.settings.keys import Key, keys
from edgeassist.settings.schema import Settings

log = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class LiveRoom(Generic[Value]):
    """A part of the daemon that can take new values while it runs.

    Attributes:
        read: Returns the part's own values out of all settings. It reads nothing else, and compares equal for
            equal settings. It may be called with settings that were not validated together.
        apply: Hands the values over. If it raises an `EdgeAssistError`, the part keeps the values it had.
    """

    read: Callable[[Settings], Value]
    apply: Callable[[Value], None]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of a reload; keys as `table.key`, in the order of `Settings`.

    Attributes:
        settings: In force now.
        applied: The keys that changed now.
        restart_needed: The keys that differ and keep their old values until the next start.
    """

    settings: Settings
    applied: list[str]
    restart_needed: list[str]


def reload(old: Settings, new: Settings, rooms: Sequence[LiveRoom[Any]]) -> Reloaded:
    """Hand every room the new values of what it reads.

    A changed key is applied if some room reads another value once that key alone changes. If a room refuses
    (`apply` raises an `EdgeAssistError`), the error is logged, the keys that it reads keep their old values,
    and rooms that were given the new ones already are given the old ones again.

    Args:
        old: The settings in force.
        new: Those to change to, valid.
        rooms: Each is called at most once, if its values differ, unless one of them refuses.
    """
    changes = [key for key in keys() if _get(old, key) != _get(new, key)]
    trials = {key: _take_over(old, new, [key]) for key in changes}
    readers = {
        key: [index for index, room in enumerate(rooms) if room.read(trial) != room.read(old)]
        for key, trial in trials.items()
    }
    in_force = [room.read(old) for room in rooms]
    applied = [key for key in changes if readers[key]]
    while True:
        settings = _take_over(old, new, applied)
        refused_by = _apply(rooms, settings, in_force)
        if refused_by is None:
            break
        kept = [key for key in applied if refused_by not in readers[key]]
        if kept == applied:  # it refuses to go back, and there is nothing else to try
            in_force[refused_by] = rooms[refused_by].read(settings)
        applied = kept
    return Reloaded(
        settings,
        applied=[".".join(key) for key in applied],
        restart_needed=[".".join(key) for key in changes if key not in applied],
    )


def _apply(rooms: Sequence[LiveRoom[Any]], settings: Settings, in_force: list[Any]) -> int | None:
    """Give rooms their values where these differ from those in force; return the first room that refuses."""
    for index, room in enumerate(rooms):
        value = room.read(settings)
        if value == in_force[index]:
            continue
        try:
            room.apply(value)
        except EdgeAssistError as error:
            log.error("can't change while running: %s", error.message)  # noqa: TRY400 - its text says all
            return index
        in_force[index] = value
    return None


def _get(settings: Settings, key: Key) -> object:
    value: object = settings
    for name in key:
        value = getattr(value, name)
    return value


def _take_over(old: Settings, new: Settings, taken: Iterable[Key]) -> Settings:
    """Return the old settings with some keys of the new ones; what they are together is not validated."""
    changed: dict[str, Any] = {}
    for key in taken:
        table, *names = key
        value = _get(new, key)
        for name in names:
            value = changed.get(table, getattr(old, table)).model_copy(update={name: value})
        changed[table] = value
    return old.model_copy(update=changed)
