"""Where the reading of a prompt stops for a state of it to be kept. Sans-I/O.

Only for a memory that can't be cut: what a sequence computed up to there can be had at no other moment.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgeassist.engine.kv.prefixes import Kind, Prefixes, shared_length
from edgeassist.engine.kv.world import World

# Of a long prompt, a state is kept after every so many tokens.
INTERVAL = 1024
# A state is not worth a step if another one is so near.
NEAR = 16
_NEAR_ON_THE_WAY = 256

Stops = dict[int, Kind]


class Stopping:
    """Finds where prompts are likely to part.

    Args:
        prefixes: What is kept.
        ends: The tokens that end a turn.
    """

    def __init__(self, prefixes: Prefixes, ends: Collection[int]) -> None:
        self._prefixes = prefixes
        self._ends = frozenset(ends)

    def stops(
        self,
        prompt: Sequence[int],
        world: World,
        most: int,
        *,
        returns: bool = False,
        following: Sequence[int] = (),
    ) -> Stops:
        """Return after how many tokens of a prompt to stop, and why.

        Args:
            prompt: Token ids.
            world: What else decides its KV values.
            most: How many tokens the sequence may have in the end.
            returns: Whether the next turn goes on from the end of this prompt, because the answer will be
                put otherwise there than it was sampled: without its thoughts.
            following: The prompt that is read next, if that is known; it may begin alike.
        """
        if not self._prefixes.least(most):
            return {}
        # Prompts that began alike: others will.
        found = {
            self._prefixes.parting(prompt, world): Kind.FORK,
            shared_length(prompt, following): Kind.FORK,
        }
        turns = [at + 1 for at, token in enumerate(prompt) if token in self._ends]
        if returns:
            # What opens the answer is put otherwise in the next turn, too, by some templates.
            ends = [at for at in turns if len(prompt) - at <= NEAR]
            found[ends[-1] if ends else len(prompt) - 1] = Kind.END
        if turns:
            # Behind a system prompt, if there is one.
            found[turns[0]] = Kind.FORK
        return _apart(found, len(prompt))


def _apart(found: Stops, end: int) -> Stops:
    """Return those of the stops that are worth a step, and some on the way."""
    kept: Stops = {}
    for at in sorted(found):
        if NEAR <= at < end and all(at - other >= NEAR for other in kept):
            kept[at] = found[at]
    for at in range(INTERVAL, end, INTERVAL):
        if all(abs(at - other) >= _NEAR_ON_THE_WAY for other in (*kept, end)):
            kept[at] = Kind.WAY
    return kept
