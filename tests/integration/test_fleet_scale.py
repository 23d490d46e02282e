"""The small form of `python -m tests.fleet.scale`: counts, and no times."""

from pathlib import Path

from tests.fleet.scale import Plan, run, table


async def test_four_boxes_answer_fifty_clients_and_lose_nothing(tmp_path: Path) -> None:
    plan = Plan(boxes=4, clients=50, prompts=400, slots=2, cost_ms=60, step_ms=10)
    trial = await run(plan, tmp_path)
    tally, spent = trial.tally, trial.spent
    found = (tally.asked, tally.lost, tally.doubled, tally.wrong, tally.errors)
    assert found == (400, 0, 0, 0, {}), table(plan, trial)
    assert sum(tally.by_box.values()) == 400
    assert len(tally.by_box) == 4
    assert min(spent.daemons, spent.engines, spent.broker, spent.crowd, spent.switches) > 0
    # The prompt and its end at least; each box hears a few words of the others, not all of each other's.
    assert 2 <= spent.published < 20
    assert spent.published_bytes > 0
    assert 2 <= spent.delivered < 20
