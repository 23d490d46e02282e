import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.kv.prefixes import MOST, Kind, Prefix, Prefixes, shared_length
from edgeassist.engine.kv.world import PLAIN

TOKENS = st.lists(st.integers(0, 2), max_size=20)
STATE = b"ten bytes."


def holding(*many: list[int], most_bytes: int = 1000) -> tuple[Prefixes, list[Prefix]]:
    prefixes = Prefixes(most_bytes)
    each = [Prefix(tokens, PLAIN, STATE) for tokens in many]
    for prefix in each:
        prefixes.keep(prefix)
    return prefixes, each


def has(prefixes: Prefixes, prefix: Prefix) -> bool:
    return prefixes.best(prefix.tokens, prefix.world)[0] is prefix


@given(TOKENS, TOKENS, TOKENS)
def test_the_shared_length_is_where_both_part(begin: list[int], one: list[int], other: list[int]) -> None:
    one, other = begin + one, begin + other
    length = shared_length(one, other)
    assert length >= len(begin)
    assert one[:length] == other[:length]
    assert length in {len(one), len(other)} or one[length] != other[length]


@pytest.mark.parametrize("length", [0, 1, 15, 16, 4000])
def test_equal_tokens_share_all(length: int) -> None:
    assert shared_length(list(range(length)), list(range(length))) == length


def test_the_best_is_the_one_that_shares_most() -> None:
    prefixes, (_, second, _) = holding([1, 2, 3], [1, 2, 4, 5], [2, 2])
    assert prefixes.best([1, 2, 4, 9], PLAIN) == (second, 3)
    assert prefixes.best([7], PLAIN) == (None, 0)


def test_one_that_goes_on_with_another_replaces_it() -> None:
    prefixes, (_, longer) = holding([1, 2], [1, 2, 3])
    assert len(prefixes) == 1
    assert has(prefixes, longer)


def test_equal_tokens_of_another_world_are_not_found_wanted_and_replace_nothing() -> None:
    prefixes, (plain,) = holding([1, 2, 3])
    adapted = Prefix([1, 2, 3, 4], ("adapter",), STATE)
    assert prefixes.best([1, 2, 3], ("adapter",)) == (None, 0)
    assert prefixes.wants([1, 2, 3], ("adapter",))
    prefixes.keep(adapted)
    assert prefixes.best([1, 2, 3], PLAIN) == (plain, 3)
    assert prefixes.best([1, 2, 3], ("adapter",)) == (adapted, 3)


def test_a_state_is_not_wanted_of_tokens_that_are_kept_but_counts_as_a_use() -> None:
    prefixes, (first, second) = holding([1, 2, 3], [5, 6], most_bytes=2 * len(STATE))
    assert not prefixes.wants([1, 2], PLAIN)
    assert prefixes.wants([1, 2, 4], PLAIN)
    prefixes.keep(Prefix([9], PLAIN, STATE))
    assert has(prefixes, first)
    assert not has(prefixes, second)


def test_the_least_recently_used_goes_first() -> None:
    prefixes, (first, second) = holding([1], [2], most_bytes=2 * len(STATE))
    prefixes.touch(first)
    prefixes.keep(Prefix([3], PLAIN, STATE))
    assert has(prefixes, first)
    assert not has(prefixes, second)


def test_a_pinned_one_goes_last_and_is_not_replaced() -> None:
    prefixes = Prefixes(2 * len(STATE))
    pinned = Prefix([1, 2], PLAIN, STATE, Kind.PINNED)
    prefixes.keep(pinned)
    for last in range(5):
        prefixes.keep(Prefix([1, 2, last], PLAIN, STATE))
    assert has(prefixes, pinned)
    assert len(prefixes) == 2


def test_without_room_nothing_is_kept_nor_wanted() -> None:
    prefixes, _ = holding([1, 2], most_bytes=0)
    assert len(prefixes) == 0
    assert not prefixes.wants([1, 2], PLAIN)


def test_their_number_is_bounded_as_well() -> None:
    prefixes, _ = holding(*([number] for number in range(MOST + 9)), most_bytes=1_000_000)
    assert len(prefixes) == MOST


@given(
    st.lists(st.tuples(st.sampled_from(Kind), TOKENS.filter(bool), st.integers(0, 60))),
    st.sampled_from([None, 0, 5]),
)
def test_their_bytes_are_bounded_whatever_comes(
    steps: list[tuple[Kind, list[int], int]], reach: int | None
) -> None:
    prefixes = Prefixes(50, reach)
    for kind, tokens, size in steps:
        prefixes.keep(Prefix(tokens, PLAIN, bytes(size), kind))
        assert prefixes.bytes <= 50
        found, length = prefixes.best(tokens, PLAIN)
        assert found is None or prefixes.least(len(found.tokens)) <= length <= len(tokens)
