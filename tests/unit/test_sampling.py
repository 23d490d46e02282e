"""Picking tokens: each setting alone, and what no setting may do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.backends.sampling import Sampler
from edgeassist.engine.messages import Sampling

LOGITS = np.array([0.0, 3.0, 2.0, 1.0, -5.0], np.float32)


def picks(sampling: Sampling, count: int = 400, logits: np.ndarray = LOGITS) -> set[int]:
    sampler = Sampler(sampling)
    return {sampler.pick(logits, []) for _ in range(count)}


def test_a_temperature_of_zero_takes_the_likeliest() -> None:
    assert picks(Sampling(temperature=0), 1) == {1}


def test_the_coldest_temperature_takes_the_likeliest() -> None:
    assert picks(Sampling(temperature=5e-324, seed=1), 20) == {1}


def test_of_equals_the_first_is_taken() -> None:
    assert picks(Sampling(temperature=0), 1, np.zeros(4, np.float32)) == {0}


def test_top_k_leaves_that_many() -> None:
    wild: dict[str, Any] = {"temperature": 50.0, "top_p": 1.0, "min_p": 0.0, "seed": 1}
    assert picks(Sampling(top_k=2, **wild)) == {1, 2}
    assert picks(Sampling(top_k=0, **wild)) == {0, 1, 2, 3, 4}


def test_top_p_leaves_the_likeliest_that_reach_it_together() -> None:
    # Of 3, 2, 1 and 0 the likelihoods are 0.64, 0.24, 0.09 and 0.03.
    wild: dict[str, Any] = {"temperature": 50.0, "top_k": 0, "min_p": 0.0, "seed": 1}
    assert picks(Sampling(top_p=0.6, **wild)) == {1}
    assert picks(Sampling(top_p=0.7, **wild)) == {1, 2}
    assert picks(Sampling(top_p=0.9, **wild)) == {1, 2, 3}


def test_min_p_leaves_what_is_likely_enough_compared_with_the_likeliest() -> None:
    wild: dict[str, Any] = {"temperature": 50.0, "top_k": 0, "top_p": 1.0, "seed": 1}
    assert picks(Sampling(min_p=0.3, **wild)) == {1, 2}
    assert picks(Sampling(min_p=1.0, **wild)) == {1}


def test_temperature_comes_last() -> None:
    # At 50 all are about equally likely; what is left was decided before.
    assert picks(Sampling(temperature=50.0, top_k=0, top_p=0.7, min_p=0.0, seed=1)) == {1, 2}


def test_a_repeat_penalty_passes_over_what_was_said() -> None:
    sampler = Sampler(Sampling(temperature=0, repeat_penalty=2.0))
    assert sampler.pick(LOGITS, []) == 1
    assert sampler.pick(LOGITS, [1]) == 2
    assert sampler.pick(LOGITS, [1, *[4] * 64]) == 1


def test_a_penalty_makes_what_is_unlikely_less_likely() -> None:
    logits = np.array([-1.0, -1.5], np.float32)
    assert Sampler(Sampling(temperature=0, repeat_penalty=2.0)).pick(logits, [0]) == 1


def test_a_seed_repeats_and_no_seed_does_not() -> None:
    logits = np.zeros(1000, np.float32)

    def told(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(temperature=1.0, seed=seed))
        return [sampler.pick(logits, []) for _ in range(8)]

    assert told(7) == told(7)
    assert told(7) != told(8)
    assert told(None) != told(None)


@given(
    logits=st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=50),
    sampling=st.builds(
        Sampling,
        temperature=st.floats(0, 5),
        top_k=st.integers(0, 60),
        top_p=st.floats(1e-9, 1),
        min_p=st.floats(0, 1),
        repeat_penalty=st.one_of(st.just(1.0), st.floats(0.01, 10)),
        seed=st.integers(0, 2**32 - 1),
    ),
)
def test_whatever_is_asked_a_token_of_the_vocabulary_is_picked(
    logits: list[float], sampling: Sampling
) -> None:
    token = Sampler(sampling).pick(np.array(logits, np.float32), [0])
    assert 0 <= token < len(logits)
    if sampling.top_k == 1 and sampling.repeat_penalty == 1.0:
        assert logits[token] == max(logits)


def test_the_likelihoods_are_those_of_the_logits() -> None:
    sampler = Sampler(Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=5))
    drawn = np.bincount([sampler.pick(LOGITS, []) for _ in range(4000)], minlength=5) / 4000
    expected = np.exp(LOGITS) / np.exp(LOGITS).sum()
    assert drawn == pytest.approx(expected, abs=0.03)
