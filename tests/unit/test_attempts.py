import pytest

from edgeassist.broker.attempts import (
    FIRST_RETRY_S,
    SETTLED_S,
    TAKEN_OVER_RETRY_S,
    Attempt,
    Backoff,
)

FAILED = Attempt()
ACCEPTED = Attempt(greeted=True, accepted=True)
TAKEN_OVER = Attempt(greeted=True, accepted=True, taken_over=True)


def pauses(backoff: Backoff, *ends: tuple[Attempt, float]) -> list[float]:
    """Return the longest pause after each of these connections."""
    after = []
    for attempt, lasted_s in ends:
        backoff.ended(attempt, lasted_s)
        after.append(backoff.pause_s(1))
    return after


def test_pauses_double_up_to_the_limit_and_begin_anew_after_a_good_connection() -> None:
    backoff = Backoff(4.0)
    assert pauses(backoff, *[(FAILED, 0.0)] * 4) == [1, 2, 4, 4]
    assert pauses(backoff, (ACCEPTED, SETTLED_S), (FAILED, 0.0)) == [FIRST_RETRY_S, 1]
    assert pauses(backoff, (ACCEPTED, SETTLED_S - 1)) == [2]


def test_a_pause_is_spread_over_its_upper_half() -> None:
    backoff = Backoff(60.0)
    backoff.ended(FAILED, 0)
    assert (backoff.pause_s(0), backoff.pause_s(1)) == (0.5, 1)


@pytest.mark.parametrize(("most_s", "pause_s"), [(60.0, TAKEN_OVER_RETRY_S), (1.0, 1.0)])
def test_a_client_whose_id_is_taken_waits_longer(most_s: float, pause_s: float) -> None:
    assert pauses(Backoff(most_s), (TAKEN_OVER, 0.1)) == [pause_s]


def test_a_connection_whose_culprit_was_found_is_not_punished() -> None:
    blamed = Attempt(greeted=True, accepted=True, hung_up=True, blamed=True)
    assert pauses(Backoff(60.0), *[(FAILED, 0.0)] * 3, (blamed, 0.1)) == [1, 2, 4, FIRST_RETRY_S]
