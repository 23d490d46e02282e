"""How much a box has to do, and how much more it would start at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """A box's load, its own topics' requests included.

    Attributes:
        model: The name of what it has loaded.
        slots: How many requests it runs at once.
        running: How many run.
        waiting: How many wait.
        held_back: Why it computes with fewer threads than it could: it is hot, or others use its cores.
        problem: Why it can't answer, for a person; None where it can.
    """

    model: str | None = None
    slots: int = 0
    running: int = 0
    waiting: int = 0
    held_back: str | None = None
    problem: str | None = None

    @property
    def room(self) -> int:
        """How many requests it would start at once; one at a time while it is held back."""
        slots = min(1, self.slots) if self.held_back else self.slots
        return 0 if self.problem else max(0, slots - self.running - self.waiting)
