"""What is to be done, and what came of it: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaign.ledger import Trouble
from tests.campaign.tally import Tally


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be done.

    Attributes:
        folder: For everything; must be empty.
        faults: Their names.
        boxes: How many daemons; more than one are a fleet, and are asked as such.
        rounds: How often each is done; None: until `minutes` have passed.
        blocks: Whether all rounds of one fault come before those of the next.
        durable: As the daemon's setting `admission.durable`; a daemon that knows no such setting is not.
        settings: More of the daemon's settings, as `engine__slots`.
    """

    folder: Path
    seed: int
    faults: tuple[str, ...]
    clients: int = 32
    boxes: int = 1
    rounds: int | None = None
    minutes: float | None = None
    blocks: bool = False
    durable: bool = True
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        troubles: What was done, in order.
        before: What the idle daemon took before the first fault, and `after` after the last.
        problems: Lines of the daemon's log that nobody expects, and what else must not be.
        failure: Why the campaign could not go on.
    """

    options: Options
    tally: Tally
    troubles: list[Trouble] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    starts: int = 0
    took_s: float = 0.0
    problems: list[str] = field(default_factory=list)
    failure: str | None = None

    @property
    def good(self) -> bool:
        """Whether nothing was that must not be."""
        return self.failure is None and not self.problems and not self.tally.wrong.total()

    def document(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "seed": self.options.seed,
            "faults": list(self.options.faults),
            "clients": self.options.clients,
            "durable": self.tally.rules.durable,
            "boxes": self.options.boxes,
            "took_s": round(self.took_s, 1),
            "starts": self.starts,
            "before": self.before,
            "after": self.after,
            "recovered_s": {
                fault: sorted(
                    round(each.recovered_s, 3)
                    for each in self.troubles
                    if each.fault == fault and each.recovered_s is not None
                )
                for fault in self.options.faults
            },
            "problems": self.problems,
            "failure": self.failure,
            **self.tally.document(),
        }
