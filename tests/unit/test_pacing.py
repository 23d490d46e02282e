import pytest

from edgeassist.engine.pacing import ALONE, FIRST_TOKENS, LEAST_TOKENS, Pacer


def settle(pacer: Pacer, *, streams: int, per_token_s: float, fixed_s: float = 0.0, steps: int = 40) -> float:
    """Take steps as large as the pacer says, on a machine of that speed; return how long the last took."""
    seconds = 0.0
    for _ in range(steps):
        prefilled = pacer.budget(streams)
        seconds = fixed_s + (prefilled + streams) * per_token_s
        pacer.learn(prefilled=prefilled, streams=streams, seconds=seconds)
    return seconds


@pytest.mark.parametrize("per_token_s", [0.001, 0.004, 0.01])
@pytest.mark.parametrize("streams", [1, 3])
def test_steps_beside_streams_come_to_take_their_target(streams: int, per_token_s: float) -> None:
    pacer = Pacer(target_s=0.25, most=512)
    assert settle(pacer, streams=streams, per_token_s=per_token_s, fixed_s=0.02) == pytest.approx(
        0.25, rel=0.1
    )


def test_steps_without_streams_may_take_longer() -> None:
    pacer = Pacer(target_s=0.25, most=10_000)
    assert settle(pacer, streams=0, per_token_s=0.004) == pytest.approx(ALONE * 0.25, rel=0.1)


def test_the_first_step_is_small() -> None:
    assert Pacer(target_s=0.25, most=512).budget(0) == FIRST_TOKENS
    assert Pacer(target_s=0.25, most=8).budget(0) == 8


def test_a_step_never_holds_more_than_it_may_nor_less_than_one_token() -> None:
    pacer = Pacer(target_s=100, most=64)
    pacer.learn(prefilled=32, streams=0, seconds=0.001)
    assert pacer.budget(0) == 64
    assert pacer.budget(4) == 60
    assert pacer.budget(200) == 1


def test_the_slowest_machine_still_reads_on() -> None:
    pacer = Pacer(target_s=0.25, most=512)
    pacer.learn(prefilled=32, streams=0, seconds=60)
    assert pacer.budget(3) == LEAST_TOKENS


@pytest.mark.parametrize(("prefilled", "seconds"), [(0, 1.0), (1, 1.0), (100, 0.0)])
def test_a_step_that_says_nothing_of_the_cost_is_ignored(prefilled: int, seconds: float) -> None:
    pacer = Pacer(target_s=0.25, most=512)
    pacer.learn(prefilled=prefilled, streams=1, seconds=seconds)
    assert pacer.budget(0) == FIRST_TOKENS


def test_a_machine_that_gets_slower_gets_smaller_steps() -> None:
    pacer = Pacer(target_s=0.25, most=512)
    settle(pacer, streams=1, per_token_s=0.001)
    fast = pacer.budget(1)
    settle(pacer, streams=1, per_token_s=0.01)
    assert pacer.budget(1) < fast / 5
