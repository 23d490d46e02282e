"""Where the reading of a prompt stops, and which states are kept, of memories that can't be cut."""

from __future__ import annotations

import pytest

from edgeassist.engine.kv.prefixes import Kind, Prefix, Prefixes
from edgeassist.engine.kv.reach import least
from edgeassist.engine.kv.stops import INTERVAL, NEAR, Stopping
from edgeassist.engine.kv.world import PLAIN

END = 7
SYSTEM = [*range(100, 140), END]
STATE = b"ten bytes."


def stopping(*kept: list[int], reach: int | None = 0) -> Stopping:
    prefixes = Prefixes(1000, reach)
    for tokens in kept:
        prefixes.keep(Prefix(tokens, PLAIN, STATE))
    return Stopping(prefixes, [END])


@pytest.mark.parametrize(
    ("computed", "reach", "expected"),
    [(9, None, 0), (0, 0, 0), (9, 0, 9), (9, 10, 0), (10, 10, 10), (11, 10, 11)],
)
def test_what_is_shorter_than_the_reach_can_be_cut_anywhere(
    computed: int, reach: int | None, expected: int
) -> None:
    assert least(computed, reach) == expected


def test_a_prompt_stops_behind_its_system_prompt() -> None:
    prompt = [*SYSTEM, *range(200, 230), END, 1, 2]
    assert stopping().stops(prompt, PLAIN, 1000) == {len(SYSTEM): Kind.FORK}


def test_where_the_answer_will_be_put_otherwise_the_prompts_last_turn_is_a_stop_too() -> None:
    prompt = [*SYSTEM, *range(200, 230), END, 1, 2]
    stops = stopping().stops(prompt, PLAIN, 1000, returns=True)
    assert stops == {len(SYSTEM): Kind.FORK, len(prompt) - 2: Kind.END}


def test_a_prompt_whose_turns_end_without_a_mark_stops_at_its_end() -> None:
    assert stopping().stops(list(range(100, 140)), PLAIN, 1000, returns=True) == {39: Kind.END}


@pytest.mark.parametrize(("most", "stops"), [(99, False), (100, True)])
def test_a_memory_that_can_be_cut_needs_no_stops(most: int, *, stops: bool) -> None:
    assert not stopping(reach=None).stops([*SYSTEM, 1, 2], PLAIN, most)
    assert bool(stopping(reach=100).stops([*SYSTEM, 1, 2], PLAIN, most)) is stops


def test_a_prompt_stops_where_it_parts_from_an_earlier_one() -> None:
    earlier = [*range(50), *range(90)]
    prompt = [*range(50), *range(60, 120)]
    assert stopping(earlier).stops(prompt, PLAIN, 1000) == {50: Kind.FORK}
    assert stopping(earlier).stops(prompt, ("adapter",), 1000) == {}
    assert stopping().stops(prompt, PLAIN, 1000, following=earlier) == {50: Kind.FORK}


def test_stops_are_apart() -> None:
    prompt = [*SYSTEM, *range(200, 200 + NEAR - 2), END, 1, 2]
    assert stopping().stops(prompt, PLAIN, 1000, returns=True) == {len(SYSTEM): Kind.FORK}


def test_a_long_prompt_stops_on_its_way() -> None:
    prompt = list(range(1000, 1000 + 3 * INTERVAL + 10))
    assert stopping().stops(prompt, PLAIN, 9999) == {INTERVAL: Kind.WAY, 2 * INTERVAL: Kind.WAY}


# --- which are kept ----------------------------------------------------------------------------------------


def keeping(*prefixes: Prefix, most_bytes: int = 1000, reach: int | None = 0) -> Prefixes:
    kept = Prefixes(most_bytes, reach)
    for prefix in prefixes:
        kept.keep(prefix)
    return kept


def has(prefixes: Prefixes, prefix: Prefix) -> bool:
    return prefixes.best([*prefix.tokens, 999], prefix.world) == (prefix, len(prefix.tokens))


def state(end: int, kind: Kind = Kind.END, size: int = 10) -> Prefix:
    return Prefix(list(range(end)), PLAIN, bytes(size), kind)


def test_a_prompt_goes_on_from_the_longest_state_that_it_begins_with_entirely() -> None:
    short, long = state(20, Kind.FORK), state(40)
    prefixes = keeping(short, long)
    assert prefixes.best([*range(50)], PLAIN) == (long, 40)
    assert prefixes.best([*range(30), 999], PLAIN) == (short, 20)
    assert prefixes.best([*range(10), 999], PLAIN) == (None, 0)
    assert prefixes.parting([*range(30), 999], PLAIN) == 30


def test_a_longer_state_makes_a_shorter_one_needless_only_where_it_can_be_cut() -> None:
    for reach, number in ((None, 1), (100, 1), (30, 2), (0, 2)):
        assert len(keeping(state(20), state(40), reach=reach)) == number


def test_of_a_sessions_ends_the_last_two_are_kept_and_where_prompts_part() -> None:
    fork, *ends = state(10, Kind.FORK), *(state(end) for end in (20, 30, 40))
    prefixes = keeping(fork, *ends)
    assert [has(prefixes, each) for each in (fork, *ends)] == [True, False, True, True]


def test_what_is_on_the_way_goes_first_and_what_is_pinned_last() -> None:
    pinned, way = state(5, Kind.PINNED), state(30, Kind.WAY)
    other = Prefix([7, 8], PLAIN, bytes(10))
    prefixes = keeping(pinned, other, way, most_bytes=30)
    prefixes.keep(state(40))
    assert [has(prefixes, each) for each in (pinned, other, way)] == [True, True, False]
    prefixes.keep(Prefix([1, 2], PLAIN, bytes(10)))
    assert [has(prefixes, each) for each in (pinned, other)] == [True, False]


def test_a_state_without_room_drops_no_other() -> None:
    small = state(5)
    prefixes = keeping(small, most_bytes=30)
    prefixes.keep(state(40, size=31))
    assert has(prefixes, small)
    assert len(prefixes) == 1


def test_a_state_of_the_same_tokens_is_not_wanted_twice_but_one_on_the_way_to_them_is() -> None:
    prefixes = keeping(state(40))
    assert not prefixes.wants([*range(40)], PLAIN)
    assert prefixes.wants([*range(30)], PLAIN)
