"""The disk is full, and has room again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from random import Random
from typing import ClassVar

from tests.campaign.faults.base import Fault, Need
from tests.campaign.ledger import Hurt
from tests.campaign.stage import Stage

_PIECE = bytes(4096)


class FullDisk(Fault):
    """The file system of the state folder has no room."""

    name: ClassVar = "disk"
    hurts: ClassVar = frozenset({Hurt.DISK})
    needs: ClassVar = frozenset({Need.SMALL_DISK})
    expected: ClassVar = (r"edgeassist\.journal\S* requests do not outlive a restart",)

    async def strike(self, stage: Stage, random: Random) -> None:
        """Fill it, and make room again."""
        with _full(stage):
            await asyncio.sleep(random.uniform(1.5, 4))


class FullDiskKill(FullDisk):
    """The daemon is killed while there is no room, and started again before there is some."""

    name: ClassVar = "disk-kill"
    hurts: ClassVar = frozenset({Hurt.DISK, Hurt.DAEMON, Hurt.ENGINE, Hurt.LINK})

    async def strike(self, stage: Stage, random: Random) -> None:
        """Fill it, kill the daemon, and make room when it is back."""
        with _full(stage):
            await asyncio.sleep(random.uniform(0.2, 4))
            stage.box.kill()
            await stage.box.back()
            await asyncio.sleep(random.uniform(0, 3))


@contextlib.contextmanager
def _full(stage: Stage) -> Iterator[None]:
    filler = stage.box.state / "filler"
    try:
        _fill(filler)
        yield
    finally:
        filler.unlink(missing_ok=True)


def _fill(path: object) -> None:
    with contextlib.suppress(OSError), open(str(path), "wb", buffering=0) as file:  # noqa: PTH123
        while file.write(_PIECE) == len(_PIECE):
            pass
