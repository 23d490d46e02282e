"""How many tokens the next step may prefill, so that it takes about as long as it should. Sans-I/O.

While answers stream, a step is the gap between two of their tokens, so its duration has a target. Otherwise
only progress reports and new requests wait for it, and a larger step reads a prompt a little faster.
"""

from __future__ import annotations

# Without streams, a step may take this many times the target.
ALONE = 8
# The number of rows that are computed best together: llama.cpp's attention works on tiles of 64 queries.
# Measured with three streams on two cores: 61 tokens of prefill beside them take 8.7 ms each, 29 take
# 13.2 ms, 125 take 9.3 ms.
BLOCK = 64
# A step of one block may take this many times the target: smaller ones read a prompt much more slowly (with
# Q4_K_M, 64 rows took 740 ms and 15 rows 340 ms).
STRETCH = 5
# The cost of a token in a smaller step, relative to one of a block, and the fewest worth a step.
_SMALL_COST = 1.5
LEAST_TOKENS = 12
# The weight of the newest step in the average.
_WEIGHT = 0.3


class Pacer:
    """Learns what a token of prefill costs.

    Args:
        target_s: How long a step should take while answers stream, in seconds.
        most: The most tokens of one step.
    """

    def __init__(self, *, target_s: float, most: int) -> None:
        self._target_s = target_s
        self.most = most
        self._cost_s: float | None = None

    @property
    def block(self) -> int:
        """How many tokens fit into any step without streams."""
        return min(BLOCK, self.most)

    def budget(self, streams: int, *, stretches: bool = True) -> int:
        """Return how many tokens to prefill beside that many streams, each of which is a row as well.

        Args:
            streams: How many there are.
            stretches: Whether the step may take longer to hold a block.
        """
        return max(1, min(self.most, self._rows(streams, stretches=stretches)) - streams)

    def learn(self, *, prefilled: int, streams: int, seconds: float) -> None:
        """Learn from how long a step took."""
        rows = prefilled + streams
        if not prefilled or rows < self.block:
            return
        cost_s = seconds / rows
        known = self._cost_s
        self._cost_s = cost_s if known is None else known + _WEIGHT * (cost_s - known)

    def _rows(self, streams: int, *, stretches: bool) -> int:
        if not self._cost_s:
            return BLOCK
        target_s = self._target_s if streams else ALONE * self._target_s
        rows = int(target_s / self._cost_s)
        if rows >= BLOCK:
            return rows - rows % BLOCK
        if not streams or (stretches and STRETCH * rows >= BLOCK):
            return BLOCK
        return max(LEAST_TOKENS + streams, int(rows / _SMALL_COST))
