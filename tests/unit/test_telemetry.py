import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.errors import Code
from edgeassist.protocol.events import Done, Timings, Usage
from edgeassist.serving.telemetry import WINDOW, Rolling, Tally


def done(
    *, completion: int = 11, queue_ms: float = 10, total_ms: float = 110, ttft_ms: float | None = 20
) -> Done:
    return Done(
        id="a",
        seq=1,
        text="x",
        finish_reason="stop",
        usage=Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=completion),
        timings=Timings(
            queue_ms=queue_ms,
            prefill_ms=8,
            ttft_ms=ttft_ms,
            decode_ms=80,
            total_ms=total_ms,
            prefill_tokens_per_s=None,
            decode_tokens_per_s=125,
        ),
        model="m",
        device="box",
    )


def test_before_the_first_answer_there_are_no_figures() -> None:
    report = Tally().report()
    assert (report.requests, report.done, report.errors) == (0, 0, {})
    assert report.ttft_ms.p50 is None
    assert report.ttft_ms.p95 is None


def test_an_answer_counts_with_its_tokens_and_times() -> None:
    tally = Tally()
    tally.requests += 2
    tally.count_done(done())
    tally.count_done(done())
    report = tally.report()
    assert (report.done, report.prompt_tokens, report.cached_tokens, report.completion_tokens) == (
        2,
        10,
        4,
        22,
    )
    assert report.queue_ms.p50 == 10
    assert report.ttft_ms.p95 == 20
    assert report.total_ms.p50 == 110
    assert report.tpot_ms.p50 == 8
    assert report.decode_tokens_per_s.p50 == 125


def test_what_an_answer_has_no_figure_for_is_left_out() -> None:
    tally = Tally()
    tally.count_done(done(completion=1, ttft_ms=None))
    report = tally.report()
    assert report.done == 1
    assert report.tpot_ms.p50 is None
    assert report.ttft_ms.p50 is None
    assert report.prefill_tokens_per_s.p50 is None


def test_errors_are_counted_by_code() -> None:
    tally = Tally()
    for code in (Code.BUSY, Code.BUSY, Code.CANCELLED):
        tally.count_error(code)
    assert tally.report().errors == {Code.BUSY: 2, Code.CANCELLED: 1}


def test_a_report_does_not_change_with_what_happens_after_it() -> None:
    tally = Tally()
    tally.count_error(Code.BUSY)
    report = tally.report()
    tally.count_error(Code.BUSY)
    assert report.errors == {Code.BUSY: 1}


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [
        ([3.0], 3, 3),
        ([1.0, 2.0], 1, 2),
        ([5.0, 1.0, 3.0], 3, 5),
        ([float(n) for n in range(1, 21)], 10, 19),
        ([float(n) for n in range(1, 101)], 50, 95),
    ],
)
def test_percentiles_are_of_the_nearest_rank(values: list[float], p50: float, p95: float) -> None:
    rolling = Rolling()
    for value in values:
        rolling.add(value)
    assert rolling.percentiles().p50 == p50
    assert rolling.percentiles().p95 == p95


@given(values=st.lists(st.floats(0, 1e6).map(lambda value: round(value, 2)), min_size=1, max_size=50))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float]) -> None:
    rolling = Rolling()
    for value in values:
        rolling.add(value)
    figures = rolling.percentiles()
    for figure, percent in ((figures.p50, 50), (figures.p95, 95)):
        assert figure in values
        assert 100 * sum(value <= figure for value in values) >= percent * len(values)
        assert 100 * sum(value < figure for value in values) < percent * len(values)


def test_only_the_last_values_count() -> None:
    rolling = Rolling()
    for value in [1000.0] * WINDOW + [1.0] * WINDOW:
        rolling.add(value)
    assert rolling.percentiles().p95 == 1
    assert rolling.mean == 1


def test_without_experience_a_refused_request_may_come_back_after_a_second() -> None:
    assert Tally().retry_after_ms(waiting=5, slots=1) == 1000


@pytest.mark.parametrize(
    ("waiting", "slots", "expected"), [(1, 1, 500), (4, 1, 2000), (4, 2, 1000), (0, 1, 500), (1, 64, 100)]
)
def test_a_refused_request_may_come_back_when_those_before_it_should_be_done(
    waiting: int, slots: int, expected: int
) -> None:
    tally = Tally()
    tally.count_done(done(queue_ms=100, total_ms=500))
    tally.count_done(done(queue_ms=0, total_ms=600))
    assert tally.retry_after_ms(waiting=waiting, slots=slots) == expected
