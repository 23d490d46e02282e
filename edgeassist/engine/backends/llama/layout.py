"""How a context's memory is laid out: what of it is a window's, and for how many sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgeassist.engine.kv.reach import Reach
from edgeassist.engine.prefill import READS
from edgeassist.models.kv import WINDOWED_BRANCHES

# llama.cpp pads the cells of windows to a multiple of this.
_CELLS = 256
# Prompts of decisions that are read at once: llama.cpp wants room for a row of logits for each.
_BRANCHES = READS
# Fewer are not worth having: one stays with the state, the others follow.
_LEAST_BRANCHES = 2


class Remembering(Protocol):
    """What a model says of its memory."""

    @property
    def recurrent(self) -> bool:
        """Whether some layer has a recurrent state."""
        ...

    @property
    def window(self) -> int:
        """How many tokens layers with a window look back; 0: there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """How the memory of a context is laid out.

    Attributes:
        slots: Sequences with an answer.
        branches: Sequences without one, beside; 0: none.
        window: How many tokens back the layers with a window look; 0: there are none. What they have passed
            may be lost at any time, although cells are free, and whatever `swa_full` says.
        reach: How far back a sequence can be cut.
    """

    slots: int
    branches: int
    window: int
    reach: Reach

    @property
    def sequences(self) -> int:
        """How many there may be at once."""
        return self.slots + self.branches


def lay_out(model: Remembering, *, slots: int, kv_tokens: int, rows: int, most: int) -> Layout:
    """Return how to lay out the memory of a model.

    Args:
        model: Whose.
        slots: Sequences with an answer.
        kv_tokens: Cells of a layer that looks back all the way.
        rows: The most tokens of one step.
        most: The most sequences that llama.cpp takes.
    """
    # A recurrent state takes much memory, for each sequence that may be.
    branches = 0 if model.recurrent else min(_BRANCHES, most - slots)
    window = model.window
    fewer = min(branches, WINDOWED_BRANCHES)
    # Where there are cells for all tokens, more sequences take none.
    if window and _cells(window * (slots + fewer) + rows) < _cells(kv_tokens):
        branches = fewer
    if branches < _LEAST_BRANCHES:
        branches = 0
    return Layout(slots, branches, window, 0 if model.recurrent else window or None)


def _cells(cells: int) -> int:
    return -(-cells // _CELLS) * _CELLS
