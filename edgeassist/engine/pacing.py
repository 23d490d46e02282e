"""How many tokens the next step may prefill, so that it takes about as long as it should. Pure.

While answers stream, a step is the gap between two of their tokens: it has a target. While none does, only
progress and the next arrival wait for it, and larger steps read a prompt faster.
"""

from __future__ import annotations

# Without streams a step may take so many times the target.
ALONE = 4
# Before anything was measured: small enough for the slowest board, and one step tells.
FIRST_TOKENS = 32
# Below this a step costs about the same whatever is in it, and reading a prompt gets ever less efficient.
LEAST_TOKENS = 16
# How much one step counts in the average, and the least share of prefill in a step that tells its cost.
_WEIGHT = 0.3
_TELLING = 8


class Pacer:
    """Learns what a token of prefill costs.

    Args:
        target_s: How long a step should take while answers stream, in seconds.
        most: The most tokens of one step.
    """

    def __init__(self, *, target_s: float, most: int) -> None:
        self._target_s = target_s
        self._most = most
        self._cost_s: float | None = None

    def budget(self, streams: int) -> int:
        """Return how many tokens to prefill beside so many streams."""
        room = max(1, self._most - streams)
        if self._cost_s is None:
            return min(room, FIRST_TOKENS)
        target_s = self._target_s if streams else ALONE * self._target_s
        return min(room, max(LEAST_TOKENS, int(target_s / self._cost_s) - streams))

    def learn(self, *, prefilled: int, streams: int, seconds: float) -> None:
        """Take into account how long a step took."""
        if prefilled < _TELLING or seconds <= 0:
            return
        cost_s = seconds / (prefilled + streams)
        known = self._cost_s
        self._cost_s = cost_s if known is None else known + _WEIGHT * (cost_s - known)
