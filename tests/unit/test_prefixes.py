import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.prefixes import Prefix, Prefixes, shared_length

TOKENS = st.lists(st.integers(0, 2), max_size=20)


def kept(prefixes: Prefixes) -> list[int]:
    """Return the slots in the order in which they would go; nothing is kept afterwards."""
    slots = []
    while (slot := prefixes.evict()) is not None:
        slots.append(slot)
    return slots


@given(TOKENS, TOKENS, TOKENS)
def test_the_shared_length_is_where_both_part(begin: list[int], one: list[int], other: list[int]) -> None:
    one, other = begin + one, begin + other
    length = shared_length(one, other)
    assert length >= len(begin)
    assert one[:length] == other[:length]
    assert length in {len(one), len(other)} or one[length] != other[length]


def test_the_best_is_the_one_that_shares_most() -> None:
    prefixes = Prefixes(most=3, most_tokens=100)
    for slot, tokens in enumerate([[1, 2, 3], [1, 2, 4, 5], [2, 2]]):
        prefixes.keep(Prefix(slot, tokens))
    found, length = prefixes.best([1, 2, 4, 9])
    assert found is not None
    assert (found.slot, length) == (1, 3)
    assert prefixes.best([7]) == (None, 0)


def test_one_that_goes_on_with_another_replaces_it() -> None:
    prefixes = Prefixes(most=3, most_tokens=100)
    assert prefixes.keep(Prefix(0, [1, 2])) == []
    assert prefixes.keep(Prefix(1, [1, 2, 3])) == [0]
    assert kept(prefixes) == [1]


def test_one_that_another_goes_on_with_is_not_kept_but_counts_as_a_use() -> None:
    prefixes = Prefixes(most=3, most_tokens=100)
    prefixes.keep(Prefix(0, [1, 2, 3]))
    prefixes.keep(Prefix(1, [5, 6]))
    assert prefixes.keep(Prefix(2, [1, 2])) == [2]
    assert kept(prefixes) == [1, 0]


def test_the_least_recently_used_goes_first() -> None:
    prefixes = Prefixes(most=2, most_tokens=100)
    prefixes.keep(Prefix(0, [1]))
    prefixes.keep(Prefix(1, [2]))
    prefixes.touch(0)
    assert prefixes.keep(Prefix(2, [3])) == [1]


def test_their_tokens_are_bounded_together() -> None:
    prefixes = Prefixes(most=9, most_tokens=5)
    prefixes.keep(Prefix(0, [1, 1]))
    prefixes.keep(Prefix(1, [2, 2]))
    assert prefixes.keep(Prefix(2, [3, 3])) == [0]
    assert prefixes.keep(Prefix(3, [4] * 6)) == [1, 2, 3]


def test_what_they_share_counts_once() -> None:
    prefixes = Prefixes(most=9, most_tokens=7)
    for slot, last in enumerate([1, 2, 3]):
        assert prefixes.keep(Prefix(slot, [7, 7, 7, 7, last])) == []
    assert prefixes.keep(Prefix(3, [7, 7, 7, 7, 4])) == [0]


def test_a_pinned_one_goes_last_and_is_not_replaced() -> None:
    prefixes = Prefixes(most=2, most_tokens=100)
    prefixes.keep(Prefix(0, [1, 2], pinned=True))
    assert prefixes.keep(Prefix(1, [1, 2, 3])) == []
    assert prefixes.keep(Prefix(2, [9])) == [1]
    assert kept(prefixes) == [2, 0]


def test_a_pinned_one_replaces_the_same_that_was_not() -> None:
    prefixes = Prefixes(most=2, most_tokens=100)
    prefixes.keep(Prefix(0, [1, 2]))
    assert prefixes.keep(Prefix(1, [1, 2], pinned=True)) == [0]


@given(st.lists(st.tuples(st.integers(0, 2), TOKENS.filter(bool))))
def test_every_slot_is_either_kept_or_given_back(steps: list[tuple[int, list[int]]]) -> None:
    prefixes = Prefixes(most=3, most_tokens=30)
    given_back: list[int] = []
    for slot, (what, tokens) in enumerate(steps):
        given_back += prefixes.keep(Prefix(slot, tokens, pinned=what == 0))
        if what == 1 and (evicted := prefixes.evict()) is not None:
            given_back.append(evicted)
        assert len(prefixes) <= 3
    assert sorted(given_back + kept(prefixes)) == list(range(len(steps)))


def test_nothing_is_evicted_from_nothing() -> None:
    assert Prefixes(most=1, most_tokens=1).evict() is None


@pytest.mark.parametrize("length", [0, 1, 15, 16, 4000])
def test_equal_tokens_share_all(length: int) -> None:
    assert shared_length(list(range(length)), list(range(length))) == length
