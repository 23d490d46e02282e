"""What `python -m tests.console.measure` measures, in small."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.console import measure
from tests.console.stage import Stage


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, (0, 0, 0)),
        (5, (2, 0, 4)),
        (6, (2.5, 0, 5)),
        (9, (4, 1, 7)),
        (20, (9.5, 5, 14)),
        (30, (14.5, 9, 20)),
    ],
)
def test_a_median_has_its_interval(count: int, expected: tuple[float, float, float]) -> None:
    assert measure.middle([*range(count)]) == expected


def test_streams_and_first_paints_are_measured(
    box: Stage, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SETTLE_S", 0)
    monkeypatch.setattr(measure, "PROMPT", "!script repeat=30 delay_ms=5\n Word.")
    found = list(measure.pairs(box, 2, 30, ("live",)))
    assert all(each.rate > 0 and each.without.cpu_s["engine"] > 0 for each in found)
    lines = measure.summary(found)
    assert lines[0].startswith("all")
    assert lines[2].startswith("live")
    assert all(0 < each < 60_000 for each in measure.paints(browser, box.url, 1))
