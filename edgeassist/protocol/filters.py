"""MQTT's topic filters (MQTT 5, section 4.7): what they match, and how two of them stand to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

MAX_FILTER_BYTES = 65_535
WILDCARDS = frozenset("+#")
# `$share/<group>/<filter>`: MQTT 5, section 4.8.2; brokers offer it to 3.1.1 as well.
SHARE = "$share"
_SHARE_LEVELS = 2


def check_filter(topic_filter: str) -> None:
    """Raise a ValueError unless MQTT allows to subscribe to it."""
    levels = topic_filter.split("/")
    if levels[0] == SHARE:
        group = levels[1] if len(levels) > _SHARE_LEVELS else ""
        if not group or set(group) & WILDCARDS:
            raise ValueError(f"{topic_filter!r} is no shared filter: it must be $share/<group>/<filter>")
        levels = levels[_SHARE_LEVELS:]
    misplaced = "#" in levels[:-1] or any(set(level) & WILDCARDS and len(level) > 1 for level in levels)
    if levels == [""] or misplaced or len(topic_filter.encode()) > MAX_FILTER_BYTES:
        raise ValueError(
            f"{topic_filter!r} is no topic filter: + and # stand for whole levels, # for the last"
        )


def levels_of(topic_filter: str) -> list[str]:
    """Return the levels that topics are compared with: a shared filter's without `$share/<group>`."""
    levels = topic_filter.split("/")
    return levels[_SHARE_LEVELS:] if levels[0] == SHARE else levels


def matches(levels: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a filter's levels match a topic's."""
    if parts[0].startswith("$") and levels[0] in WILDCARDS:
        return False
    for index, level in enumerate(levels):
        if level == "#":  # the parent level too
            return True
        if index == len(parts) or level not in {"+", parts[index]}:
            return False
    return len(levels) == len(parts)


def filters_of(topic: str, most: int) -> Iterator[str]:
    """Yield up to `most` filters that match a topic, with few wildcards first.

    A topic of n levels is matched by 3 * 2^n - 1.
    """
    parts = topic.split("/")
    ends = [(parts[:length], ["#"]) for length in range(len(parts), -1, -1)]
    count = 0
    for wild in range(len(parts) + 1):
        for head, end in [(parts, []), *ends]:
            for places in combinations(range(len(head)), wild):
                levels = ["+" if place in places else part for place, part in enumerate(head)] + end
                if levels[0] in WILDCARDS and topic.startswith("$"):
                    continue
                if count == most:
                    return
                count += 1
                yield "/".join(levels)


def overlap(one: str, other: str) -> bool:
    """Whether some topic is matched by both filters."""
    left, right = levels_of(one), levels_of(other)
    starts = left[0], right[0]
    if any(start in WILDCARDS for start in starts) and any(start.startswith("$") for start in starts):
        return False
    for mine, theirs in zip(left, right, strict=False):
        if "#" in {mine, theirs}:
            return True
        if mine != theirs and "+" not in {mine, theirs}:
            return False
    longer = left if len(left) > len(right) else right
    return len(left) == len(right) or longer[min(len(left), len(right)) :] == ["#"]


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that `narrow` matches is matched by `wide` too."""
    left, right = levels_of(wide), levels_of(narrow)
    if left[0] in WILDCARDS and right[0].startswith("$"):
        return False
    for index, level in enumerate(left):
        if level == "#":
            return True
        if index == len(right) or right[index] == "#":
            return False
        if level not in {"+", right[index]}:
            return False
    return len(left) == len(right)


def wild_parts(levels: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Return what of a topic the wildcards of a filter that matches it stand for."""
    found = [part for level, part in zip(levels, parts, strict=False) if level == "+"]
    return [*found, *parts[len(levels) - 1 :]] if levels[-1] == "#" else found
