"""The options of a question as a tree of tokens, and what each scores by the logits where it forks. Sans-I/O.

An option is as probable as the ways at the forks that lead to it: where only one way goes on, nothing is
decided, so a longer name costs nothing. It is what sampling would pick from if the answer were bound to the
options. A fork takes one row of logits; most questions have one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Tokens of an answer so far.
Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fork:
    """Where options part.

    Attributes:
        path: The tokens that lead there.
        ways: The tokens that go on from there, one group for each way: an option may end by several.
        takes: The numbers of the options that come by here, each with the way that it takes.
    """

    path: Path
    ways: tuple[tuple[int, ...], ...]
    takes: tuple[tuple[int, int], ...]

    @property
    def candidates(self) -> tuple[int, ...]:
        """All tokens that are compared, in the order of the ways."""
        return tuple(token for way in self.ways for token in way)

    def log_probabilities(self, logits: Sequence[float]) -> list[float]:
        """Return the logarithm of each way's probability among all ways.

        Args:
            logits: Of `candidates`.
        """
        rest = iter(logits)
        ways = [_log_sum([next(rest) for _ in way]) for way in self.ways]
        total = _log_sum(ways)
        return [way - total for way in ways]


def forks_of(options: Sequence[Path], ends: Sequence[int]) -> list[Fork]:
    """Return where options part, the first fork first, and each behind those that lead to it.

    Args:
        options: The tokens of each, none twice.
        ends: The tokens that end an answer.
    """
    prefixes = sorted({option[:length] for option in options for length in range(len(option) + 1)})
    forks = []
    for path in sorted(prefixes, key=len):
        depth = len(path)
        here = {number: option for number, option in enumerate(options) if option[:depth] == path}
        ways = list(dict.fromkeys(option[depth : depth + 1] for option in here.values()))
        if len(ways) > 1:
            takes = tuple((number, ways.index(option[depth : depth + 1])) for number, option in here.items())
            forks.append(Fork(path, tuple(way or tuple(ends) for way in ways), takes))
    return forks


def scores_of(count: int, forks: Sequence[Fork], logits: Sequence[Sequence[float]]) -> list[float]:
    """Return the logarithm of each option's probability.

    Args:
        count: How many options there are.
        forks: Where they part.
        logits: Of the candidates of each fork.
    """
    scores = [0.0] * count
    for fork, compared in zip(forks, logits, strict=True):
        ways = fork.log_probabilities(compared)
        for option, way in fork.takes:
            scores[option] += ways[way]
    return scores


def branches_of(forks: Sequence[Fork]) -> list[list[int]]:
    """Return the numbers of the forks that lie on one path, for each path that has to be read."""
    branches: list[list[int]] = []
    for number in sorted(range(len(forks)), key=lambda each: -len(forks[each].path)):
        path = forks[number].path
        for branch in branches:
            if forks[branch[0]].path[: len(path)] == path:
                branch.append(number)
                break
        else:
            branches.append([number])
    return [sorted(branch, key=lambda each: len(forks[each].path)) for branch in branches]


def _log_sum(values: Sequence[float]) -> float:
    most = max(values)
    return most + math.log(sum(math.exp(value - most) for value in values))
