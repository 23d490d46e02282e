"""A short campaign: each fault a few times, under load, and nothing is lost or doubled.

`python -m tests.campaign` does the same for as long as one likes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.campaign import Campaign
from tests.campaign.faults import FAULTS
from tests.campaign.needs import lacks
from tests.campaign.outcome import Options
from tests.campaign.report import report

SEED = 20


async def play(folder: Path, *faults: str, rounds: int, clients: int = 12, boxes: int = 1) -> None:
    """Do these faults, those of them that can be done here, and assert that all went well."""
    possible = tuple(each for each in faults if lacks(FAULTS[each], boxes) is None)
    options = Options(folder, SEED, possible, clients=clients, rounds=rounds, boxes=boxes)
    outcome = await Campaign(options).run()
    said = report(outcome)
    assert outcome.good, said
    assert len(outcome.troubles) == rounds * len(possible)
    assert all(each.recovered_s is not None for each in outcome.troubles)
    # A campaign in which nobody asked would be good, too.
    assert outcome.tally.accepted > len(outcome.troubles), said


@pytest.mark.timeout(900)
async def test_no_prompt_is_lost_and_none_ends_twice_whoever_is_killed(tmp_path: Path) -> None:
    # So many that some of each pause before a new connection have a clean session, and never ask again.
    await play(tmp_path, "engine", "daemon", "broker", rounds=2, clients=24)


@pytest.mark.timeout(900)
async def test_what_stands_still_or_is_cut_off_for_a_while_costs_no_end(tmp_path: Path) -> None:
    freezes = ("freeze-engine", "freeze-daemon", "freeze-broker")
    await play(
        tmp_path,
        *freezes,
        "disk",
        "disk-kill",
        "broker-kept",
        "cut-daemon",
        "cut-clients",
        "slow-daemon",
        "packets",
        "no-packets",
        rounds=1,
    )


@pytest.mark.timeout(900)
async def test_what_a_box_of_a_fleet_had_when_it_was_killed_ends_at_another(tmp_path: Path) -> None:
    await play(tmp_path, "box", rounds=2, boxes=3)
