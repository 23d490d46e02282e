"""What can't be watched: topics on which the answers would come back, and filters that deliver twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from edgeassist.protocol.filters import SHARE, check_filter, covers, overlap
from edgeassist.protocol.topics import MAX_TOPIC_BYTES, Topics
from edgeassist.watching.options import InputOptions, WatchOptions


def check_watchable(topic_filter: str) -> None:
    """Raise a ValueError, without the filter's text, unless a watch can subscribe to it."""
    try:
        check_filter(topic_filter)
    except ValueError:
        raise ValueError("is no topic filter: + and # stand for whole levels, # for the last") from None
    if topic_filter.startswith(f"{SHARE}/"):
        raise ValueError("is a shared filter, of which a watch would hear only a part: leave out $share/…/")
    if len(topic_filter.encode()) > MAX_TOPIC_BYTES or not topic_filter.isprintable():
        raise ValueError(f"must be at most {MAX_TOPIC_BYTES} bytes of printable text")


def problems(watches: Sequence[WatchOptions], topics: Topics, prefix: str) -> Iterator[str]:
    """Say what is wrong with watches on this device, for a person and without topics.

    Args:
        watches: All of them.
        topics: This device's.
        prefix: Below which Home Assistant is told of devices.
    """
    names = [watch.name for watch in watches]
    yield from (f"two are named {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1)
    ours = {
        f"{topics.root}/#": f"this device's own topics, {topics.root}/…",
        f"{prefix}/device/#": f"where devices announce themselves, {prefix}/device/…",
    }
    placed = [
        (f"{watch.name!r}: topics.{at}", each) for watch in watches for at, each in enumerate(watch.inputs)
    ]
    for place, each in placed:
        for own, words in ours.items():
            if overlap(each.filter, own):
                yield f"{place} matches {words}: its answers would be its next question; watch less"
    for (place, one), (other_place, other) in combinations(placed, 2):
        if _delivered_twice(one, other):
            yield (
                f"{place} and {other_place} overlap, and neither matches all of the other: a message on both "
                "would count twice; make them one, or keep 1"
            )


def _delivered_twice(one: InputOptions, other: InputOptions) -> bool:
    """Whether the broker delivers some message twice, and that makes a difference."""
    filters = one.filter, other.filter
    return (
        max(one.keep, other.keep) > 1
        and overlap(*filters)
        and not covers(*filters)
        and not covers(*reversed(filters))
    )
