"""Options as a tree of tokens: what is compared, and what they score by it."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.deciding.tree import branches_of, forks_of, scores_of

ENDS = (90, 91)
Options = list[tuple[int, ...]]

options = st.lists(
    st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple), min_size=2, max_size=8, unique=True
)


def scores(known: Options, logits: list[list[float]]) -> list[float]:
    return scores_of(len(known), forks_of(known, ENDS), logits)


def test_options_that_begin_otherwise_are_compared_once() -> None:
    (fork,) = forks_of([(1, 5), (2, 6, 7), (3,)], ENDS)
    assert (fork.path, fork.candidates) == ((), (1, 2, 3))


def test_what_all_begin_with_is_not_compared() -> None:
    (fork,) = forks_of([(1, 2, 3), (1, 2, 4)], ENDS)
    assert (fork.path, fork.candidates) == ((1, 2), (3, 4))


def test_where_an_option_ends_and_another_goes_on_the_end_of_the_answer_is_a_way() -> None:
    (fork,) = forks_of([(1,), (1, 0)], ENDS)
    assert (fork.path, fork.ways) == ((1,), ((90, 91), (0,)))
    # Both ways to end count: two of three in all.
    one, ten = scores([(1,), (1, 0)], [[0.0, 0.0, 0.0]])
    assert math.isclose(math.exp(one), 2 / 3)
    assert math.isclose(math.exp(ten), 1 / 3)


def test_a_longer_name_costs_nothing_where_nothing_else_goes_on() -> None:
    short, long = scores([(1,), (2, 3, 3, 3)], [[0.0, 0.0]])
    assert short == long


@given(options, st.data())
def test_probabilities_sum_to_one_and_the_order_of_options_changes_none(
    known: Options, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(known))))
    of = {token: data.draw(st.floats(-30, 30)) for token in (*range(5), *ENDS)}

    def scored(some: Options) -> list[float]:
        return scores(some, [[of[token] for token in fork.candidates] for fork in forks_of(some, ENDS)])

    found = scored(known)
    assert math.isclose(sum(map(math.exp, found)), 1, abs_tol=1e-9)
    assert all(
        math.isclose(found[at], again, abs_tol=1e-9)
        for at, again in zip(order, scored([known[at] for at in order]), strict=True)
    )


@given(options)
def test_every_fork_is_read_once_on_a_path_that_leads_there(known: Options) -> None:
    forks = forks_of(known, ENDS)
    branches = branches_of(forks)
    assert sorted(number for branch in branches for number in branch) == list(range(len(forks)))
    for branch in branches:
        paths = [forks[number].path for number in branch]
        assert all(later[: len(path)] == path for path, later in itertools.pairwise(paths))
