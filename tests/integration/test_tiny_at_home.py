"""EdgeAssist Tiny as Home Assistant's agent, with the real weights: what comes of what people say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from edgeassist.protocol.events import Done
from tests.conftest import TakeBox
from tests.tiny_at_home import Case, cases, outcome

# The least of each kind, and of what the agent was not made with, that comes out as it should.
FLOOR = 0.9
FLOOR_HELD_OUT = 0.85

Results = list[tuple[Case, list[str]]]


@pytest.fixture
async def results(take_box: TakeBox, request: pytest.FixtureRequest) -> Results:
    """What comes of every case of the file that is asked for."""
    box = await take_box(model__path="builtin:tiny", model__context="1024")

    async def ask(fields: dict[str, Any]) -> str:
        ending = await box.client.answer(stream=False, **fields)
        assert isinstance(ending, Done), ending
        return ending.text

    return [(case, await outcome(case, ask)) for case in cases(request.param)]


def right(case: Case, got: list[str]) -> bool:
    return sorted(got) == sorted(case.expect)


def acts(got: list[str]) -> bool:
    return any(each.startswith("Hass") for each in got)


@pytest.mark.parametrize("results", ["cases.jsonl"], indirect=True)
async def test_of_every_kind_nearly_all_is_done_and_nothing_else(results: Results) -> None:
    assert [(case.said, got) for case, got in results if acts(got) and not right(case, got)] == []
    asked = Counter(case.kind for case, _ in results)
    done = Counter(case.kind for case, got in results if right(case, got))
    assert {kind: done[kind] for kind in asked if done[kind] < FLOOR * asked[kind]} == {}


@pytest.mark.parametrize("results", ["held_out.jsonl"], indirect=True)
async def test_what_it_was_not_made_with_is_done_or_left(results: Results) -> None:
    assert [(case.said, got) for case, got in results if acts(got) and not right(case, got)] == []
    assert sum(right(case, got) for case, got in results) >= FLOOR_HELD_OUT * len(results)
