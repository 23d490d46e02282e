"""What a fault is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from random import Random
from typing import ClassVar

from tests.campaign.ledger import Hurt
from tests.campaign.stage import Stage


class Need(StrEnum):
    """What the stage must have for a fault."""

    RELAYS = "relays"
    SMALL_DISK = "a file system of its own"
    PACKETS = "a network of its own"
    FLEET = "several boxes"
    KEEPING = "a broker that has its sessions on disk"


class Fault(ABC):
    """Something that goes wrong.

    Attributes:
        name: As the command line has it.
        hurts: What it breaks.
        needs: What the stage must have for it.
        expected: What the daemon may log at ERROR because of it, as regular expressions.
    """

    name: ClassVar[str]
    hurts: ClassVar[frozenset[Hurt]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset()
    expected: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    async def strike(self, stage: Stage, random: Random) -> None:
        """Do it, and lift it again; returns when it is lifted."""
