"""Which prompts a step reads, and how much of each. Sans-I/O."""

from __future__ import annotations

from edgeassist.engine.sequence import Sequence
from edgeassist.engine.step import Read, Work

# The most reads of one step: each is a row of logits, which costs memory and the time of some more tokens.
READS = 16


def prefill(sequences: list[Sequence], budget: int, block: int) -> list[Work]:
    """Share out the budget, oldest first; half of it is for those with at most half of the oldest's rest.

    So a short question overtakes a long document, which takes at most twice as long for it.
    """
    counts = dict.fromkeys((seq.slot for seq in sequences), 0)

    def give(seq: Sequence, most: int) -> int:
        before = counts[seq.slot]
        counts[seq.slot] = _cut(seq, min(seq.rest, before + most), block)
        return counts[seq.slot] - before

    overtaking = budget // 2
    for seq in sorted(sequences, key=lambda each: each.rest):
        if 2 * seq.rest <= sequences[0].rest:
            given = give(seq, overtaking)
            overtaking -= given
            budget -= given
    for seq in sequences:
        budget -= give(seq, budget)
    works = []
    reads = READS
    for seq in sequences:
        reached = _reached(seq, counts[seq.slot])
        if len(reached) > reads:
            counts[seq.slot] = reached[reads].position - seq.computed
            reached = reached[:reads]
        reads -= len(reached)
        if count := counts[seq.slot]:
            tokens = seq.tokens[seq.computed : seq.computed + count]
            samples = count == seq.rest and not seq.reads
            works.append(Work(seq.slot, seq.computed, tokens, samples, reads=reached))
    return works


def _reached(seq: Sequence, count: int) -> tuple[Read, ...]:
    """Return what is compared after one of the next `count` tokens."""
    end = seq.computed + count
    return tuple(read for read in seq.reads[seq.compared :] if read.position < end)


def _cut(seq: Sequence, count: int, block: int) -> int:
    """Return how many of the next `count` tokens a step may compute: none beyond a stop.

    A reproducible prompt is cut between blocks, and its last block, whole or not, is a step's own. Steps of
    several blocks give the same values as one for each (measured with llama.cpp, bit for bit).
    """
    if not seq.reproducible:
        return min(count, seq.until_stop)
    last = (len(seq.tokens) - 1) // block * block
    if seq.computed >= last:
        return count
    end = min(seq.computed + count, last) // block * block
    return end - seq.computed if end > seq.computed else count
