import pytest

from edgeassist.engine.pacing import ALONE, BLOCK, LEAST_TOKENS, STRETCH, Pacer


def settle(pacer: Pacer, *, streams: int, per_row_s: float, steps: int = 40) -> float:
    """Take steps as large as the pacer says, on a machine of that speed; return how long the last took."""
    seconds = 0.0
    for _ in range(steps):
        prefilled = pacer.budget(streams)
        seconds = (prefilled + streams) * per_row_s
        pacer.learn(prefilled=prefilled, streams=streams, seconds=seconds)
    return seconds


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("per_row_s", [0.0004, 0.001, 0.002, 0.0035])
def test_steps_beside_streams_are_as_many_blocks_as_fit_their_target(streams: int, per_row_s: float) -> None:
    pacer = Pacer(target_s=0.25, most=512)
    seconds = settle(pacer, streams=streams, per_row_s=per_row_s)
    assert 0.25 - BLOCK * per_row_s < seconds <= 0.25 or pacer.budget(streams) == 512 - streams
    assert (pacer.budget(streams) + streams) % BLOCK == 0


@pytest.mark.parametrize("per_row_s", [0.005, 0.011, 0.018])
def test_on_a_slower_machine_a_step_is_one_block_up_to_a_multiple_of_the_target(per_row_s: float) -> None:
    pacer = Pacer(target_s=0.25, most=512)
    assert 0.25 < settle(pacer, streams=3, per_row_s=per_row_s) <= STRETCH * 0.25
    assert pacer.budget(3) == BLOCK - 3


@pytest.mark.parametrize("per_row_s", [0.025, 0.05, 1.0])
def test_on_the_slowest_a_step_is_smaller_but_reads_on(per_row_s: float) -> None:
    pacer = Pacer(target_s=0.25, most=512)
    settle(pacer, streams=3, per_row_s=per_row_s)
    assert LEAST_TOKENS <= pacer.budget(3) < BLOCK // 3


def test_steps_without_streams_may_take_longer_and_are_never_less_than_a_block() -> None:
    pacer = Pacer(target_s=0.25, most=10_000)
    assert settle(pacer, streams=0, per_row_s=0.004) <= ALONE * 0.25
    assert pacer.budget(0) == 448
    settle(pacer, streams=0, per_row_s=0.1)
    assert pacer.budget(0) == BLOCK


def test_before_anything_was_measured_a_step_is_one_block() -> None:
    assert Pacer(target_s=0.25, most=512).budget(0) == BLOCK
    assert Pacer(target_s=0.25, most=512).budget(3) == BLOCK - 3
    assert Pacer(target_s=0.25, most=8).budget(0) == 8


def test_a_step_never_holds_more_than_it_may_nor_less_than_one_token() -> None:
    pacer = Pacer(target_s=100, most=80)
    pacer.learn(prefilled=80, streams=0, seconds=0.001)
    assert pacer.budget(0) == 80
    assert pacer.budget(4) == 76
    assert pacer.budget(200) == 1


@pytest.mark.parametrize("prefilled", [0, 1, BLOCK - 3])
def test_a_step_that_says_nothing_of_the_cost_of_a_block_is_ignored(prefilled: int) -> None:
    pacer = Pacer(target_s=0.25, most=512)
    pacer.learn(prefilled=prefilled, streams=2, seconds=60)
    assert pacer.budget(0) == BLOCK


def test_a_machine_that_gets_slower_gets_smaller_steps() -> None:
    pacer = Pacer(target_s=0.25, most=512)
    settle(pacer, streams=1, per_row_s=0.0005)
    fast = pacer.budget(1)
    settle(pacer, streams=1, per_row_s=0.005)
    assert pacer.budget(1) < fast / 5


def test_a_step_that_may_not_stretch_keeps_to_its_time_in_smaller_pieces() -> None:
    pacer = Pacer(target_s=0.25, most=512)
    settle(pacer, streams=1, per_row_s=0.0085)
    assert pacer.budget(1) == BLOCK - 1
    assert LEAST_TOKENS <= pacer.budget(1, stretches=False) <= 0.25 / 0.0085
    # Nobody waits for a step without streams.
    assert pacer.budget(0, stretches=False) == pacer.budget(0)
