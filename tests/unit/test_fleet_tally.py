from typing import Any

import pytest

from tests.fleet.tally import Asked, count


def done(device: str = "a", text: str = "x", *, waited_ms: float = 0, ran_ms: float = 1000) -> dict[str, Any]:
    timings = {"queue_ms": waited_ms, "total_ms": waited_ms + ran_ms}
    return {"type": "done", "device": device, "text": text, "timings": timings}


def asked(at: float = 0.0, *events: tuple[float, dict[str, Any]]) -> Asked:
    request = Asked("x", at)
    for when, event in events:
        request.hear(event, when)
    return request


def test_what_did_not_end_is_lost_and_what_ended_twice_is_doubled_but_for_a_repeat() -> None:
    tally = count(
        [
            asked(0, (1, done())),
            asked(0, (2, done()), (3, done())),
            asked(0, (3, done()), (4, {**done(), "repeat": True})),
            asked(0, (1, {"type": "accepted", "device": "a"})),
            asked(0, (5, {**done(), "repeat": True})),
        ],
        slots=1,
    )
    assert (tally.asked, tally.lost, tally.doubled) == (5, 1, 1)


def test_a_wrong_text_an_error_and_a_move_are_counted() -> None:
    tally = count(
        [
            asked(0, (1, done(text="y"))),
            asked(0, (1, {"type": "error", "code": "engine_failed"})),
            asked(
                0,
                (1, {"type": "accepted", "device": "b"}),
                (2, {"type": "accepted", "device": "a"}),
                (3, done()),
            ),
        ],
        slots=1,
    )
    assert (tally.wrong, tally.errors, tally.moved, tally.by_box) == (1, {"engine_failed": 1}, 1, {"a": 2})


def test_slots_are_idle_only_where_requests_wait() -> None:
    """Two slots; one is free from second 1 on, until the last request that waits starts at 2."""
    tally = count(
        [
            asked(0, (1, done())),
            asked(0, (2, done("b", waited_ms=0, ran_ms=2000))),
            asked(0, (9, done("b", waited_ms=2000, ran_ms=7000))),
        ],
        slots=2,
    )
    assert tally.seconds == pytest.approx(2)
    assert tally.idle == pytest.approx(1 - 3 / 4)
    assert tally.ended == 2
    assert tally.ran_ms == pytest.approx(10_000 / 3)
    assert tally.per_s == pytest.approx(1)


def test_of_nobody_who_ran_there_is_no_time() -> None:
    tally = count([asked()], slots=4)
    assert (tally.seconds, tally.idle, tally.per_s) == (0, 0, 0)
