from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.protocol.filters import covers, levels_of, matches, overlap, wild_parts

LEVELS = ("a", "$b", "")
TOPICS = ["/".join(parts) for size in (1, 2, 3, 4) for parts in product(LEVELS, repeat=size)]
FILTERS = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]),
    st.lists(st.sampled_from([*LEVELS, "+"]), min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
) | st.just("#")


def topics_of(topic_filter: str) -> set[str]:
    """Return which of some topics it matches; four levels tell all filters of up to three apart."""
    return {topic for topic in TOPICS if matches(levels_of(topic_filter), topic.split("/"))}


@given(FILTERS, FILTERS)
def test_two_filters_overlap_where_both_match_some_topic(one: str, other: str) -> None:
    assert overlap(one, other) == overlap(other, one) == bool(topics_of(one) & topics_of(other))


@given(FILTERS, FILTERS)
def test_a_filter_covers_only_what_it_matches_all_of(wide: str, narrow: str) -> None:
    assert covers(wide, wide)
    if covers(wide, narrow):
        assert topics_of(narrow) <= topics_of(wide)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [("a/#", "a"), ("a/#", "a/+/b"), ("+/b", "a/b"), ("#", "+/+"), ("a/+/#", "a/b/#"), ("+", "+")],
)
def test_a_wider_filter_covers_a_narrower_one(wide: str, narrow: str) -> None:
    assert covers(wide, narrow)
    assert wide == narrow or not covers(narrow, wide)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "parts"),
    [
        ("a/b", "a/b", []),
        ("a/+/c", "a/b/c", ["b"]),
        ("+/+", "a/b", ["a", "b"]),
        ("a/#", "a/b/c", ["b", "c"]),
        ("a/#", "a", []),
        ("+/b/#", "a/b/c", ["a", "c"]),
        ("#", "a", ["a"]),
    ],
)
def test_wildcards_stand_for_what_they_match(topic_filter: str, topic: str, parts: list[str]) -> None:
    assert wild_parts(levels_of(topic_filter), topic.split("/")) == parts
