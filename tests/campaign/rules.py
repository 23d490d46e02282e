"""What a device promises, and what must never be. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.campaign.asking import TOKEN_BYTES, Ask

# The device's own limit of an answer, in tokens (`sampling.max_tokens`).
MAX_TOKENS = 512
# With this number a daemon that was started again ends what it can't answer: it does not know the last one.
SEQ_AFTER_START = 1_000_000

# Ends of what never became a request: there was no room.
REFUSALS = frozenset({"busy", "quota_exceeded", "model_loading", "shutting_down"})


class Wrong(StrEnum):
    """What must never be."""

    NO_END = "no end"
    DOUBLED_END = "doubled end"
    DOUBLED_EVENT = "doubled event"
    GAP = "gap in seq"
    TEXT = "wrong text"
    END = "wrong end"
    BEGAN_ANEW = "began anew unasked"


@dataclass(frozen=True, slots=True)
class Rules:
    """What was promised.

    Attributes:
        durable: That the device keeps what the broker has acknowledged.
        fleet: Only that what a dead box had is answered: it may run again elsewhere, from the beginning.
    """

    durable: bool
    fleet: bool = False


def expected(ask: Ask) -> str:
    """Return the answer's text, cut as the device cuts it."""
    whole = (ask.text or "").encode()[: MAX_TOKENS * TOKEN_BYTES]
    return whole.decode(errors="ignore")
