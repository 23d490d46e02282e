"""What a model picks of options about nothing, kept because it is the same each time. Bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from edgeassist.engine.deciding.branches import Asked

MOST = 256


class Priors:
    """The least recently used goes first."""

    def __init__(self) -> None:
        self._known: OrderedDict[Asked, Sequence[float]] = OrderedDict()

    def find(self, asked: Asked) -> Sequence[float] | None:
        """Return the log-probabilities of a question's options; None where they are not known."""
        if asked in self._known:
            self._known.move_to_end(asked)
        return self._known.get(asked)

    def keep(self, asked: Asked, scores: Sequence[float]) -> None:
        """Keep them."""
        self._known[asked] = scores
        if len(self._known) > MOST:
            self._known.popitem(last=False)
