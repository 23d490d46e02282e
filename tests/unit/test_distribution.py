"""What pytest-xdist keeps together: tests that share what their module has started."""

from __future__ import annotations

import pytest

from tests.distribution import LONGEST, SPLIT, group_of, next_group, place_of

APPLIANCE = "tests/appliance/test_appliance.py::test_it_starts_at_boot"


def test_a_module_stays_together_unless_its_tests_share_nothing() -> None:
    wire = "tests/acceptance/test_wire.py"
    assert group_of(f"{wire}::test_a[stop]") == group_of(f"{wire}::test_b") == wire
    assert "test_survival" in SPLIT
    assert group_of("tests/acceptance/test_survival.py::test_a").endswith("::test_a")


@pytest.mark.parametrize(
    ("test", "group"),
    [
        (f"{APPLIANCE}[bookworm]", "test_appliance-bookworm"),
        (f"{APPLIANCE}[trixie]", "test_appliance-trixie"),
        ("tests/appliance/test_aarch64.py::test_a", "test_aarch64"),
        ("tests/appliance/test_images.py::test_a[bookworm-amd64-Python 3.11]", "test_appliance-bookworm"),
        ("tests/appliance/test_images.py::test_a[bookworm-arm64-Python 3.11]", "test_aarch64"),
    ],
)
def test_a_machine_and_what_needs_its_root_stay_together(test: str, group: str) -> None:
    assert group_of(test) == group


def test_no_module_that_is_split_has_fixtures_of_a_whole_module(request: pytest.FixtureRequest) -> None:
    tests = request.config.rootpath / "tests"
    split = [path for path in tests.rglob("test_*.py") if path.stem in SPLIT and path.parent.name != "unit"]
    assert {path.stem for path in split} == SPLIT
    assert [path.name for path in split if 'scope="module"' in path.read_text()] == []


def test_a_process_gets_a_machine_where_it_may_have_one_and_else_only_when_nothing_else_is_left() -> None:
    machines = {"a": [f"{APPLIANCE}[bookworm]"], "b": [f"{APPLIANCE}[trixie]"]}
    queue = {**machines, "c": ["tests/unit/test_c.py::test_c"], "d": ["tests/unit/test_d.py::test_d"]}
    assert next_group(queue, machine=True) == "a"
    assert next_group(queue, machine=False) == "c"
    assert next_group(machines, machine=False) == "a"


def test_what_takes_longest_begins_first_and_short_tests_are_last() -> None:
    stages = "tests/appliance/test_stages.py::test_a"
    tests = [
        f"{stages}[bookworm]",
        f"{stages}[trixie]",
        f"{APPLIANCE}[trixie]",
        "tests/home_assistant/test_agent.py::test_a[2026.11.0]",
        "tests/acceptance/test_wire.py::test_a",
        "tests/unit/test_bench.py::test_a",
    ]
    places = [place_of(test) for test in tests]
    assert places == sorted({*places})


def test_each_of_the_longest_is_there(request: pytest.FixtureRequest) -> None:
    tests = request.config.rootpath / "tests"
    modules = {path.stem for path in tests.rglob("test_*.py") if path.parent.name != "unit"}
    assert {name.partition("-")[0] for name in LONGEST} <= modules
