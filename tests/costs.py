"""Which tests take processor time, with all that they start: `pytest -p tests.costs`, also with `-n`.

A process counts while it lives below the test's, and with its end when its parent has waited for it; what was
left to others counts only until then. Where several tests share a program, the first pays for its start.
"""

from __future__ import annotations

import os
import resource
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import cast

import pytest

_TICKS = os.sysconf("SC_CLK_TCK")
_SHOWN = 40
_KEY = "processor_s"
_BEGUN = pytest.StashKey[float]()
_tests: dict[str, float] = defaultdict(float)


def spent_s() -> float:
    """Return what this process and all below it have taken, in seconds."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = 0
    for pid in _below(os.getpid()):
        with suppress(OSError):
            # proc(5): utime, stime, cutime and cstime, behind a name that may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            alive += sum(map(int, fields[11:15]))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime + alive / _TICKS


def _below(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                yield child
                yield from _below(child)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Begin to count."""
    item.stash[_BEGUN] = spent_s()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Count, and let the report of the end carry it, which pytest-xdist passes on."""
    try:
        return (yield)
    finally:
        item.user_properties.append((_KEY, spent_s() - item.stash[_BEGUN]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what a test took."""
    if report.when == "teardown":
        _tests[report.nodeid] += cast(float, dict(report.user_properties).get(_KEY, 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the dearest modules and tests."""
    modules: dict[str, float] = defaultdict(float)
    for test, took in _tests.items():
        modules[test.partition("::")[0]] += took
    for title, costs in {"modules": modules, "tests": _tests}.items():
        terminalreporter.section(f"processor time of {title}: {sum(costs.values()):.0f} s")
        for name, took in sorted(costs.items(), key=itemgetter(1), reverse=True)[:_SHOWN]:
            terminalreporter.write_line(f"{took:8.2f} s  {name}")
