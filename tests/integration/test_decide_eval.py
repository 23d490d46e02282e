"""`edgeassist decide --eval` as a person runs it, against a real broker and daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_decide_command import Decide, decide

ROOMS = ["bath", "kitchen", "attic"]

__all__ = ["decide"]  # the fixture


@pytest.fixture
def cases(tmp_path: Path) -> str:
    """Cases for the scripted model, which picks what the state names most; each fifth names another room."""
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(f"{json.dumps(_case(number))}\n" for number in range(80)))
    return str(path)


def _case(number: int) -> dict[str, Any]:
    right, other = ROOMS[number % 3], ROOMS[(number + 1) % 3]
    room = {"type": "choice", "instructions": "Which one is meant?", "criteria": ROOMS}
    told = other if number % 5 == 0 else right
    state = f"It is dark in the {told}, yes, the {told}, no. {number}"
    return {"state": state, "questions": {"room": room}, "expected": {"room": right}}


def test_the_figures_of_a_persons_own_cases_are_printed(decide: Decide, cases: str) -> None:
    ended = decide("--eval", cases, "--robust")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert "80 cases of" in lines[0]
    assert lines[1].startswith("temperatures: choice 1, score 1, yes_no 1; prior 1; threshold")
    assert [line.split()[:4] for line in lines if line.startswith("all")] == [["all", "80", "80.0", "%"]]
    assert any("sure ██████" in line for line in lines)
    assert "with a choice's options in reverse, 0.0 % of the picks differ" in lines


def test_what_was_fitted_holds_when_it_is_set(decide: Decide, cases: str) -> None:
    ended = decide("--eval", cases, "--fit", "--wanted", "0.75", "--json")
    report = json.loads(ended.stdout)
    assert report["fit"]["fitted_to"] == 40
    assert report["fit"]["after"]["all"]["ece"] <= report["fit"]["before"]["ece"]
    assert report["entry"]["temperatures"]["choice"] == report["fit"]["by_kind"]["temperatures"]["choice"]
    assert report["entry"]["threshold"] is not None
    printed = decide("--eval", cases, "--fit", "--wanted", "0.75").stdout
    assert f"choice = {report['fit']['by_kind']['temperatures']['choice']:g}" in printed


def test_the_same_model_writes_json(decide: Decide, cases: str) -> None:
    written = json.loads(decide("--eval", cases, "--against", "json", "--json").stdout)["written"]
    # The scripted model echoes what it is asked, and names no option by that.
    assert (written["all"]["count"], written["all"]["without"]) == (80, 80)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fit"], "--fit, --wanted, --robust and --against go with --eval"),
        (["--eval", "builtin", "a state"], "--eval: its cases say what is asked"),
        (["--eval", "builtin", "--against", "yaml"], "--against: 'yaml' is not 'json'"),
    ],
)
def test_options_that_do_not_go_together_are_told(decide: Decide, arguments: list[str], told: str) -> None:
    ended = decide(*arguments)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stdout == ""


def test_a_line_that_is_no_case_is_told_before_anything_is_asked(decide: Decide, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f'{json.dumps(_case(1))}\n{{"state": "?"}}\n')
    ended = decide("--eval", str(path))
    assert ended.returncode == 2
    assert "bad.jsonl, line 2: questions:" in ended.stderr


def test_a_file_that_is_not_there_is_told(decide: Decide) -> None:
    ended = decide("--eval", "no.jsonl")
    assert ended.returncode == 78
    assert "--eval: can't read no.jsonl" in ended.stderr
