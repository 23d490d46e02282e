import pytest

from edgeassist.engine.sizing import (
    LEAST_SLOT_TOKENS,
    MOST_SLOTS,
    PREFIX_BYTES,
    Demand,
    Sizes,
    check_fits,
    size_kv,
)
from edgeassist.errors import MemoryShortError, ModelError

MIB = 1 << 20


@pytest.mark.parametrize(
    ("demand", "sizes"),
    [
        pytest.param(Demand(4096, 12_288, threads=4), Sizes(4, 16_384, 192 * MIB), id="nothing known"),
        pytest.param(Demand(4096, 12_288, threads=1), Sizes(2, 16_384, 192 * MIB), id="one thread"),
        pytest.param(Demand(4096, 12_288, 8192 * MIB, threads=4), Sizes(4, 16_384, 192 * MIB), id="plenty"),
        pytest.param(
            Demand(4096, 12_288, 192 * MIB, threads=4), Sizes(4, 8192, 24 * MIB), id="half of the room"
        ),
        pytest.param(
            Demand(4096, 12_288, 50 * MIB, threads=4), Sizes(4, 4096, 50 * MIB // 8), id="one context"
        ),
        pytest.param(Demand(1024, 1, threads=4, slots=9), Sizes(9, 9216, 9216), id="slots set"),
        pytest.param(Demand(1024, 1, threads=4, kv_tokens=1500), Sizes(2, 1500, 1500), id="kv set"),
        pytest.param(Demand(1024, 1, threads=4, prefix_bytes=0), Sizes(4, 4096, 0), id="no prefixes"),
        pytest.param(Demand(1024, 1, threads=4, prefix_bytes=MIB), Sizes(4, 4096, MIB), id="prefixes set"),
        pytest.param(Demand(8192, 393_216, threads=4), Sizes(4, 32_768, PREFIX_BYTES), id="large"),
        pytest.param(Demand(64, 1), Sizes(1, 256, 256), id="tiny"),
    ],
)
def test_sizes_follow_from_what_is_asked_for_and_what_there_is(demand: Demand, sizes: Sizes) -> None:
    assert size_kv(demand) == sizes


def test_slots_are_never_more_than_help_and_never_too_small() -> None:
    assert size_kv(Demand(65_536, 1, threads=64)).slots == MOST_SLOTS
    assert size_kv(Demand(LEAST_SLOT_TOKENS, 1, threads=64, kv_tokens=LEAST_SLOT_TOKENS)).slots == 1


def test_a_context_that_does_not_fit_is_refused_with_one_that_does() -> None:
    with pytest.raises(
        ModelError, match=r"model\.context: 4096 .* 48 MiB .* 10 MiB .* model\.context to 853"
    ):
        size_kv(Demand(4096, 12_288, 10 * MIB))


def test_a_context_that_would_fit_if_others_had_less_may_be_tried_again() -> None:
    with pytest.raises(MemoryShortError):
        size_kv(Demand(4096, 12_288, 10 * MIB, total_room_bytes=50 * MIB))


@pytest.mark.parametrize(("free", "total"), [(0, 0), (0, 50), (100, 0), (100, 100), (101, 200)])
def test_what_fits_or_nobody_can_tell_of_is_let_pass(free: int, total: int) -> None:
    check_fits("it takes", "no way", needed=100, free=free, total=total)


def test_what_is_too_large_is_refused_for_ever_or_for_now() -> None:
    for total in (0, 9 * MIB):
        with pytest.raises(ModelError, match=r"^it takes 10 MiB, and 5 MiB of memory are free: shrink it$"):
            check_fits("it takes", "shrink it", needed=10 * MIB, free=5 * MIB, total=total)
    with pytest.raises(MemoryShortError, match=r"free at the moment: end other programs, or shrink it$"):
        check_fits("it takes", "shrink it", needed=10 * MIB, free=5 * MIB, total=10 * MIB)


def test_kv_memory_that_does_not_fit_is_refused_by_its_own_name() -> None:
    with pytest.raises(ModelError, match=r"engine\.kv_tokens: 8192 .* engine\.kv_tokens to 853"):
        size_kv(Demand(64, 12_288, 10 * MIB, kv_tokens=8192))


def test_kv_memory_below_one_context_is_refused() -> None:
    with pytest.raises(ModelError, match=r"engine\.kv_tokens: 100 .* 4096 \(model\.context\)"):
        size_kv(Demand(4096, 1, kv_tokens=100))
