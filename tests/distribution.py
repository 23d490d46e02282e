"""Which tests run in one process, one after the other, where pytest-xdist has several (`--dist loadscope`).

A module stays together, because its tests may share a daemon or an engine. By its name: pytest-xdist 3.8
overlooks the mark xdist_group with pytest 9.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Long modules whose tests share nothing.
SPLIT = {
    "test_broken_links",
    "test_broker_hangups",
    "test_campaign",
    "test_doctor",
    "test_engine_life",
    "test_engine_memory",
    "test_presence",
    "test_small_packets",
    "test_startup",
    "test_supervisor",
    "test_supervisor_switch",
    "test_survival",
    "test_switching",
    "test_switching_inside",
    "test_tune",
}
# In the process that makes such a root for its machine, instead of one that waits for it.
BESIDE = {"test_images-bookworm": "test_appliance-bookworm", "test_images-trixie": "test_appliance-trixie"}
# What takes longest begins first, whoever has time takes the next, and short tests fill the gaps at the end.
LONGEST = (
    "test_stages-bookworm",
    "test_stages-trixie",
    "test_setup",
    "test_appliance-trixie",
    "test_appliance-bookworm",
    "test_agent",
    "test_documented",
    "test_soak",
    "test_fuzz",
    "test_watches",
    "test_login",
    "test_view_commands",
    "test_tiny",
    "test_bench",
    "test_tune",
    "test_engine_memories",
    "test_demo",
)


class Distribution(LoadScopeScheduling):
    """Gives a group of tests to a process that has time."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        has, most = self._has_machine(node), max(1, len(self.nodes) // 2)
        free = not has and sum(map(self._has_machine, self.nodes)) < most
        self.workqueue.move_to_end(next_group(self.workqueue, machine=free), last=False)
        super()._assign_work_unit(node)

    def _has_machine(self, node: WorkerController) -> bool:
        # The next group is given out while the last has two tests left.
        left = [
            test for tests in self.assigned_work[node].values() for test, ended in tests.items() if not ended
        ]
        return needs_machine(left)


def next_group(queue: Mapping[str, Iterable[str]], *, machine: bool) -> str:
    """Return the name of the group that is given out next.

    Args:
        queue: The tests of each that is left, in order.
        machine: Whether it may be one with machines. These take minutes and mostly wait, so half of the
            processes has them, one after the other, and the other half keeps the processors busy.
    """
    others = (group for group, tests in queue.items() if machine or not needs_machine(tests))
    return next(others, None) or next(iter(queue))


def needs_machine(tests: Iterable[str]) -> bool:
    """Whether one of these boots a machine, or installs in one."""
    return any("/appliance/" in test for test in tests)


def group_of(nodeid: str) -> str:
    """Return the name of what a test runs together with."""
    path, _, test = nodeid.partition("::")
    module = PurePath(path).stem
    if module in SPLIT:
        return nodeid
    if "/appliance/" not in path:
        return path
    if "arm64" in test:
        return "test_aarch64"
    release = re.search(r"[\[-](bookworm|trixie)", test)
    group = f"{module}-{release[1]}" if release else module
    return BESIDE.get(group, group)


def place_of(nodeid: str) -> int:
    """Return which place in the order a test has; those of one place stay as they are collected."""
    path = PurePath(group_of(nodeid).partition("::")[0])
    if path.parent.name == "unit":
        return len(LONGEST) + 1
    return LONGEST.index(path.stem) if path.stem in LONGEST else len(LONGEST)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Take these groups for the scopes of loadscope."""
    return Distribution(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put them in order."""
    items.sort(key=lambda item: place_of(item.nodeid))
