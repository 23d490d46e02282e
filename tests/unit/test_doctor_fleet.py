from typing import Any

import pytest

from edgeassist.doctor.checks.fleet import FleetSnapshot, check_fleet
from edgeassist.fleet.survey import survey
from tests.unit.test_fleet_survey import NOW, box

ROOT = "edgeassist/fleet/home"
HERE = survey("home", {each.device: each.model_dump_json().encode() for each in (box("a"), box("b"))})


def found(**fields: Any) -> list[tuple[str, str]]:
    values = {"adopt_s": 10, "session_expiry_s": 86_400, "now": NOW, "there": True, "seen": HERE, **fields}
    findings = list(check_fleet(FleetSnapshot(ROOT, "a", **values)))
    assert all(each.remedy for each in findings if each.severity.value != "ok")
    return [(each.severity.value, each.text) for each in findings]


def test_a_fleet_that_works_is_told_in_one_line() -> None:
    assert found() == [
        ("ok", "shared subscriptions work, and 2 of 2 boxes of 'home' take requests"),
    ]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"shares": False}, "the broker says that it has no shared subscriptions"),
        ({"shared": False}, "the broker grants shared subscriptions and delivers nothing by them"),
        ({"plain": False, "shared": False}, f"what is published on {ROOT}/hand/+ does not come back"),
        ({"refused": {"$share/x/y": "not authorized"}}, "the broker refuses the subscription to $share/x/y"),
        ({"session_expiry_s": 60, "adopt_s": 60}, "the broker keeps requests for a box that died for 60 s"),
        ({"seen": survey("home", {})}, "nobody is in the fleet 'home'"),
    ],
)
def test_what_keeps_requests_from_being_answered_is_a_problem(fields: dict[str, Any], text: str) -> None:
    problems = [each for severity, each in found(**fields) if severity == "problem"]
    assert [each.startswith(text) for each in problems] == [True]


def test_a_box_whose_daemon_is_there_and_does_not_take_part_is_said() -> None:
    other = survey("home", {"b": box("b").model_dump_json().encode()})
    assert ("warning", "the daemon is online, and not known in its fleet") in found(seen=other)
    assert len(found(seen=other, there=False)) == 1


def test_different_models_are_a_warning() -> None:
    boxes = (box("a"), box("b", model="Large"))
    mixed = survey("home", {each.device: each.model_dump_json().encode() for each in boxes})
    assert [severity for severity, _ in found(seen=mixed)] == ["warning", "ok"]
