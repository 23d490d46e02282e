"""A daemon's first engine, which begins before the daemon's own modules are imported. Imports little."""

from __future__ import annotations

import contextlib

from edgeassist.supervision.spawning import Spawned, spawn

_begun: list[Spawned] = []


def begin() -> None:
    """Start it, and tell it what the last one was told: most starts load the same."""
    with contextlib.suppress(OSError):  # the supervisor tries again, and says why it can't
        spawned = spawn()
        # It imports as much meanwhile.
        from edgeassist.folders import state_directory  # noqa: PLC0415 - as said above
        from edgeassist.supervision.last_load import recall  # noqa: PLC0415

        told = recall(state_directory())
        _begun.append(spawned if told is None else spawned.load(told))


def take() -> Spawned | None:
    """Return what `begin` has started, once; None: there is none."""
    return _begun.pop() if _begun else None
