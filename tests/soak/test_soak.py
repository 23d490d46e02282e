"""Short forms of what `python -m tests.soak` does for long."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.soak.__main__ import summary
from tests.soak.daemon import soak
from tests.soak.month import Month
from tests.soak.simulated import SimulatedLoop

DAYS = 4
# Of what Python has allocated: a leak of one small object for each request is more.
MOST_GROWTH = 0.03


def test_a_simulated_hour_takes_a_moment_and_comes_in_order() -> None:
    heard: list[tuple[float, str]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(3600, lambda: heard.append((loop.time(), "late")))
        async with asyncio.timeout(7200):
            await asyncio.sleep(1800)
            heard.append((loop.time(), "early"))
            await asyncio.sleep(1801)
        heard.append((loop.time(), "end"))

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(run())
    assert [(round(at), what) for at, what in heard] == [(1800, "early"), (3600, "late"), (3601, "end")]


def test_nothing_is_lost_and_nothing_grows_over_days() -> None:
    diary = Month(DAYS, seed=20, pause_s=600).run()
    told = summary(diary)
    assert not diary.unended, told
    assert diary.doubled == 0, told
    # Each habit had its part in it.
    assert {"done", "busy", "cancelled", "invalid_request"} <= diary.ends.keys(), told
    assert diary.engines > DAYS, told
    assert diary.losses > DAYS, told
    assert diary.said_again, told
    assert max(diary.written.values()) <= 64_000_000
    # What is bounded is full by then.
    early, late = diary.days[1], diary.days[-1]
    assert late.memory < early.memory * (1 + MOST_GROWTH), told
    assert (late.tasks, late.retained) == (early.tasks, early.retained), told


async def test_a_real_daemon_opens_no_more_than_it_closes(tmp_path: Path) -> None:
    record = await soak(tmp_path, seconds=6.0, pause_s=0.0, every_s=2.0, warm=40)
    first, last = record.samples[0], record.samples[-1]
    assert not record.failed
    assert last.asked > first.asked
    assert set(last.memory) == {"daemon", "engine"}
    assert last.descriptors == first.descriptors, record.table()
    assert last.files <= first.files + 1, record.table()
    assert last.threads["daemon"] <= first.threads["daemon"], record.table()
