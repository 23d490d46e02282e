"""How a dataset's sentences are read and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.home_assistant.assist_tasks import Task, Verdict, judge, read_tasks

FIXTURES = """
areas: [{name: Kitchen, id: kitchen}]
entities:
  - {name: Lamp, id: light.lamp, area: kitchen, attributes: {color_mode: onoff}}
  - {name: Blind, id: cover.blind, area: kitchen}
"""
RECORD = """
category: light
tests:
  - sentences: [Lamp on, Put the lamp on]
    setup: {light.lamp: {state: "off", attributes: {brightness: 0}}}
    expect_changes: {light.lamp: {state: "on", attributes: {brightness: 128}}}
    ignore_changes: {light.lamp: [color_mode]}
  - sentences: ["What can you do?"]
    expect_response: lights
"""
BEFORE: dict[str, dict[str, Any]] = {
    "light.lamp": {"state": "off", "brightness": None, "modes": ["onoff"]},
    "cover.blind": {"state": "closed", "current_position": 0, "is_closed": True},
}


def task(**expected: Any) -> Task:
    return Task("home/light", "light", "Lamp on", {}, {"light.lamp": expected})


def after(**changed: Any) -> dict[str, dict[str, Any]]:
    return {**BEFORE, "light.lamp": {**BEFORE["light.lamp"], **changed}}


def test_each_sentence_is_a_task_in_its_home_as_it_begins(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/_fixtures.yaml").write_text(FIXTURES)
    (tmp_path / "home/lights.yaml").write_text(RECORD)
    first, second = read_tasks(tmp_path)
    assert (first.said, second.said) == ("Lamp on", "Put the lamp on")
    assert (first.record, first.category) == ("home/lights", "light")
    lamp, blind = first.home["entities"]
    assert (lamp["state"], lamp["attributes"]) == ("off", {"color_mode": "onoff", "brightness": 0})
    assert "state" not in blind
    assert first.expected == {"light.lamp": {"state": "on", "brightness": 128}}
    assert first.ignored == {"light.lamp": {"color_mode"}}


def test_a_folder_without_records_and_an_unknown_entity_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="datasets/assist-mini"):
        list(read_tasks(tmp_path))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/_fixtures.yaml").write_text(FIXTURES)
    (tmp_path / "home/lights.yaml").write_text(RECORD.replace("light.lamp", "light.other"))
    with pytest.raises(ValueError, match=r"no entity light\.other"):
        list(read_tasks(tmp_path))


@pytest.mark.parametrize(
    ("then", "reply", "verdict"),
    [
        (after(state="on", brightness=128), "Done.", Verdict.RIGHT),
        (after(state="on", brightness="128"), "Done.", Verdict.RIGHT),
        (after(state="on", brightness=128), "Sorry, what?", Verdict.SORRY),
        (after(), "Done.", Verdict.NOTHING),
        (after(state="on"), "Done.", Verdict.OTHERWISE),
        ({**BEFORE, "cover.blind": {"state": "open"}}, "Done.", Verdict.ELSEWHERE),
    ],
)
def test_a_verdict_tells_what_went_wrong(
    then: dict[str, dict[str, Any]], reply: str, verdict: Verdict
) -> None:
    assert judge(task(state="on", brightness=128), BEFORE, then, reply)[0] is verdict


def test_what_follows_from_a_state_is_not_compared_and_what_is_new_is() -> None:
    moved = {**BEFORE, "cover.blind": {**BEFORE["cover.blind"], "is_closed": False, "is_opening": True}}
    asked = Task("home/light", "light", "", {}, {}, {"light.lamp": frozenset({"brightness"})})
    assert judge(asked, BEFORE, moved, "")[0] is Verdict.RIGHT
    lamp = {**BEFORE, "light.lamp": {**BEFORE["light.lamp"], "brightness": 3, "effect": None}}
    assert judge(asked, BEFORE, lamp, "")[1] == ["light.lamp effect: None expected, None found"]
