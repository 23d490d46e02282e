"""The doctor on an installation's second stage, in which llama.cpp is compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeassist.doctor.checks.background import BackgroundSnapshot, Stage, check_background
from edgeassist.doctor.probes.background import parse_stage, probe_background
from edgeassist.protocol.findings import Severity
from tests.unit.findings import OK, WARNING, only, told
from tests.unit.trees import plant


@pytest.mark.parametrize(
    ("stage", "severity", "words"),
    [
        (Stage.RUNS, OK, ("compiled in the background",)),
        (Stage.WAITS, WARNING, ("no network", "tried again")),
        (Stage.STOPPED, WARNING, ("no network", "plug it in; then: sudo systemctl start edgeassist-llama")),
    ],
)
def test_what_becomes_of_it_is_told_with_what_to_do(
    stage: Stage, severity: Severity, words: tuple[str, ...]
) -> None:
    findings = list(check_background(BackgroundSnapshot(stage, "no network", "plug it in")))
    assert only(findings).severity is severity
    assert told(findings, severity, *words)


def test_one_that_somebody_stopped_can_be_started() -> None:
    finding = only(check_background(BackgroundSnapshot(Stage.STOPPED)))
    assert finding.remedy == "sudo systemctl start edgeassist-llama"


def test_nothing_is_said_where_nothing_follows(tmp_path: Path) -> None:
    assert probe_background(tmp_path) is None
    assert list(check_background(None)) == []


def test_the_reason_that_the_script_left_is_read(tmp_path: Path) -> None:
    plant(tmp_path, {"opt/edgeassist/llama/problem": "no compiler\ninstall one\n"})
    found = probe_background(tmp_path)
    assert found is not None
    assert (found.problem, found.hint) == ("no compiler", "install one")


@pytest.mark.parametrize(
    ("sub_state", "stage"),
    [
        ("running\n", Stage.RUNS),
        ("auto-restart\n", Stage.WAITS),
        ("failed\n", Stage.STOPPED),
        ("dead\n", Stage.STOPPED),
        ("", Stage.STOPPED),
    ],
)
def test_the_state_is_systemds(sub_state: str, stage: Stage) -> None:
    assert parse_stage(sub_state) is stage
