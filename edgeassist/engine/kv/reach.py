"""How far back the memory of a sequence can be cut. Sans-I/O.

The entries of attention can be cut at any token. A sliding window has lost what it moved past, and a
recurrent state knows only where it stands.
"""

from __future__ import annotations

# A sequence of fewer tokens can be cut at any of them, any other only goes on where it stands.
# None: each can be cut; 0: none can.
Reach = int | None


def least(computed: int, reach: Reach) -> int:
    """Return the fewest tokens that a sequence of so many can be cut to; these themselves: it can't be."""
    return 0 if reach is None or computed < reach else computed
