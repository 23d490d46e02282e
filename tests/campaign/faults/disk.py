"""The disk is full, and has room again."""

from __future__ import annotations

import asyncio
import contextlib
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
        filler = stage.box.state / "filler"
        try:
            _fill(filler)
            await asyncio.sleep(random.uniform(1.5, 4))
        finally:
            filler.unlink(missing_ok=True)


def _fill(path: object) -> None:
    with contextlib.suppress(OSError), open(str(path), "wb", buffering=0) as file:  # noqa: PTH123
        while file.write(_PIECE) == len(_PIECE):
            pass
