from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.device.governor import (
    CALM_S,
    COOLING_S,
    HEATING_S,
    LONGEST_CALM_S,
    POWER_S,
    Allowance,
    Governor,
    Reading,
)

EVERY_S = 0.5
LIMIT_C = 80.0


def reading(at: float = 0.0, *, most: int = 4, cores: int = 4, **said: Any) -> Reading:
    return Reading(at, most, cores, **said)


def judge_all(readings: Iterable[Reading]) -> list[Allowance]:
    governor = Governor()
    return [governor.judge(each) for each in readings]


def through(
    governor: Governor, begin: float, seconds: float, *, every_s: float = EVERY_S, **said: Any
) -> list[Allowance]:
    """Judge the same reading again and again."""
    count = round(seconds / every_s)
    return [governor.judge(reading(begin + index * every_s, **said)) for index in range(count)]


@pytest.mark.parametrize(
    ("cores", "others", "threads"),
    [
        (2, 0.0, 2),
        (2, 0.25, 2),  # the daemon, the broker and a client
        (2, 0.35, 1),
        (2, 0.67, 1),  # a busy process that our own threads hold up
        (2, 1.0, 1),
        (2, 2.0, 1),  # never none
        (4, 0.2, 4),
        (4, 1.0, 3),
        (4, 1.2, 3),
        (4, 2.4, 1),
        (4, 4.0, 1),
        (1, 1.0, 1),
    ],
)
def test_other_programs_keep_the_cores_that_they_use(cores: int, others: float, threads: int) -> None:
    now = Governor().judge(reading(most=cores, cores=cores, others=others))
    assert (now.decode, now.prefill) == (threads, threads)
    assert (now.held_back is not None) == (threads < cores)


def test_what_holds_threads_back_is_said_in_words() -> None:
    now = Governor().judge(reading(others=1.04))
    assert now.held_back == "other programs use 1.0 of 4 cores"


def test_a_quota_below_the_cores_leaves_room_for_others() -> None:
    assert Governor().judge(reading(most=2, cores=4, others=1.9)) == Allowance(2, 2)
    assert Governor().judge(reading(most=3, cores=4, others=1.9)).decode == 2


def test_threads_come_back_only_after_a_while_of_calm() -> None:
    governor = Governor()
    assert governor.judge(reading(0.0, others=1.0)).decode == 3
    calm = through(governor, 0.5, 2 * CALM_S, others=0.0)
    held = [now for now in calm if now.held_back is not None]
    assert len(held) == CALM_S / EVERY_S
    assert calm[-1] == Allowance(4, 4)


def test_a_moment_of_noise_begins_the_calm_anew() -> None:
    governor = Governor()
    governor.judge(reading(0.0, others=1.0))
    through(governor, 0.5, CALM_S - 0.5, others=0.0)
    assert governor.judge(reading(CALM_S, others=0.9)).decode == 3
    assert governor.judge(reading(CALM_S + 0.5, others=0.0)).decode == 3


def test_between_busy_and_calm_nothing_changes() -> None:
    for first in (0.0, 1.0):
        governor = Governor()
        before = governor.judge(reading(0.0, cores=2, most=2, others=first))
        after = through(governor, 0.5, 60, cores=2, most=2, others=0.22)
        assert {now.decode for now in after} == {before.decode}


def test_a_program_that_comes_and_goes_does_not_make_threads_flap() -> None:
    """Simulated: four seconds of work, four of rest, for ten minutes."""
    at, changes, before = 0.0, [], 2
    governor = Governor()
    while at < 600:
        busy = at % 8 < 4
        now = governor.judge(reading(at, cores=2, most=2, others=1.0 if busy else 0.02)).decode
        if now != before:
            changes.append(at)
        before, at = now, at + EVERY_S
    assert len([each for each in changes if each >= 60]) <= 4
    assert before == 1


def test_the_patience_of_a_relapse_is_forgotten_and_has_an_end() -> None:
    governor = Governor()
    at = 0.0
    for _ in range(20):  # always back at once when a core was taken
        while governor.judge(reading(at, others=0.0)).decode < 4:
            at += EVERY_S
        governor.judge(reading(at := at + EVERY_S, others=1.0))
    began = at
    while governor.judge(reading(at, others=0.0)).decode < 4:
        at += EVERY_S
    assert at - began == pytest.approx(LONGEST_CALM_S, abs=1)
    at += 100
    governor.judge(reading(at, others=1.0))
    assert through(governor, at + EVERY_S, CALM_S + 2 * EVERY_S, others=0.0)[-1].decode == 4


def test_while_no_answer_runs_only_the_last_moment_counts() -> None:
    governor = Governor()
    assert governor.judge(reading(0.0, others=3.0, running=False)).decode == 1
    assert governor.judge(reading(0.5, others=0.0, running=False)) == Allowance(4, 4)
    governor.judge(reading(1.0, others=1.0, running=False))
    assert governor.judge(reading(1.5, others=0.0)).decode == 3


def test_a_reading_without_others_changes_nothing_about_them() -> None:
    governor = Governor()
    governor.judge(reading(0.0, others=2.0))
    assert {now.decode for now in through(governor, 0.5, 60, others=None)} == {2}


def test_others_have_to_fit_into_cores_that_became_fewer() -> None:
    governor = Governor()
    governor.judge(reading(0.0, others=1.0))
    assert governor.judge(reading(0.5, most=2, cores=2, others=0.0)) == Allowance(2, 2)
    assert governor.judge(reading(1.0, most=2, cores=2, others=1.0)).decode == 1


def test_heat_takes_threads_from_prompts_first_and_one_at_a_time() -> None:
    governor = Governor()
    steps = through(governor, 0.0, 5 * HEATING_S, every_s=HEATING_S, temperature_c=78.0, limit_c=LIMIT_C)
    assert [(now.decode, now.prefill) for now in steps] == [(4, 3), (3, 3), (3, 2), (2, 2), (2, 1)]
    assert steps[0].held_back == "the processor has 78 °C and is throttled at 80 °C"


def test_heat_leaves_one_thread() -> None:
    steps = through(Governor(), 0.0, 600, temperature_c=90.0, limit_c=LIMIT_C)
    assert (steps[-1].decode, steps[-1].prefill) == (1, 1)
    alone = through(Governor(), 0.0, 600, most=1, cores=1, temperature_c=90.0, limit_c=LIMIT_C)
    assert alone[-1] == Allowance(1, 1)


def test_a_device_that_cooled_down_gets_its_threads_back_slowly() -> None:
    governor = Governor()
    through(governor, 0.0, 2 * HEATING_S, every_s=HEATING_S, temperature_c=79.0, limit_c=LIMIT_C)
    warm = through(governor, 100.0, 200.0, temperature_c=75.0, limit_c=LIMIT_C)
    assert {(now.decode, now.prefill) for now in warm} == {(3, 3)}
    cool = through(governor, 300.0, 3 * COOLING_S, every_s=COOLING_S, temperature_c=60.0, limit_c=LIMIT_C)
    assert [(now.decode, now.prefill) for now in cool] == [(4, 3), (4, 4), (4, 4)]


def test_a_heated_box_settles_below_the_temperature_at_which_firmware_throttles() -> None:
    """Simulated: every thread heats, the surrounding air cools, and four threads would end at 95 °C."""
    governor = Governor()
    temperature, seen = 40.0, []
    for step in range(4000):
        now = governor.judge(reading(step * EVERY_S, temperature_c=temperature, limit_c=LIMIT_C))
        target = 35 + 15 * now.decode
        temperature += (target - temperature) * EVERY_S / 60
        seen.append(temperature)
    assert max(seen) < LIMIT_C
    assert min(seen[2000:]) > 60


def test_a_firmware_that_throttles_is_believed_without_a_thermometer() -> None:
    governor = Governor()
    assert governor.judge(reading(0.0, throttled=True)).held_back == "the firmware throttles the processor"
    assert through(governor, 1.0, 2 * COOLING_S)[-1] == Allowance(4, 4)


def test_a_temperature_without_a_limit_says_nothing() -> None:
    assert through(Governor(), 0.0, 60, temperature_c=99.0)[-1] == Allowance(4, 4)


def test_a_weak_supply_halves_the_threads_for_a_minute() -> None:
    governor = Governor()
    now = governor.judge(reading(0.0, under_voltage=True))
    assert (now.decode, now.prefill) == (2, 2)
    assert "under-voltage" in str(now.held_back)
    assert governor.judge(reading(POWER_S - 1)).decode == 2
    assert governor.judge(reading(POWER_S)) == Allowance(4, 4)


def test_the_strictest_reason_is_the_one_that_is_told() -> None:
    now = Governor().judge(reading(others=1.0, under_voltage=True, temperature_c=79.0, limit_c=LIMIT_C))
    assert (now.decode, now.prefill) == (2, 2)
    assert "under-voltage" in str(now.held_back)


@given(
    st.lists(
        st.builds(
            Reading,
            at=st.floats(0, 1e6),
            most=st.integers(1, 8),
            cores=st.integers(1, 8),
            others=st.none() | st.floats(0, 16),
            temperature_c=st.none() | st.floats(-40, 150),
            limit_c=st.none() | st.floats(60, 110),
            throttled=st.booleans(),
            under_voltage=st.booleans(),
        ),
        max_size=40,
    ).map(lambda readings: sorted(readings, key=lambda each: each.at))
)
def test_there_is_always_a_thread_and_never_more_than_the_device_gives(readings: list[Reading]) -> None:
    for each, now in zip(readings, judge_all(readings), strict=True):
        assert 1 <= now.decode <= each.most
        assert 1 <= now.prefill <= each.most
        assert now.held_back is not None or (now.decode, now.prefill) == (each.most, each.most)
