"""The doctor's check of watches."""

from __future__ import annotations

import pytest

from edgeassist.doctor.checks.watches import WatchSnapshot, check_watches
from edgeassist.protocol.findings import Severity
from tests.unit.findings import OK, PROBLEM, WARNING, only


@pytest.mark.parametrize(
    ("watch", "online", "severity", "words"),
    [
        (WatchSnapshot("w", 3, retained=2), False, OK, "may listen; 2 of its 3 topics have a value"),
        (WatchSnapshot("w", 1, retained=1, said=True, state_at="2026"), True, OK, "known of 2026"),
        (WatchSnapshot("w", 1, refused={0: "not authorized"}), True, PROBLEM, "topics.0 of 'w' (not"),
        (WatchSnapshot("w", 1), True, WARNING, "says nothing of 'w'"),
        (WatchSnapshot("w", 1, said=True, unknown=True, reason="no"), True, WARNING, "delivers nothing"),
        (WatchSnapshot("w", 1, {}, 1, said=True, unknown=True, reason="sure"), True, WARNING, "sure; 1 of"),
        (WatchSnapshot("w", 1, said=True, reason="busy"), True, OK, "is known, but busy"),
    ],
)  # fmt: skip
def test_a_watch_is_judged_by_what_the_broker_lets_it_hear_and_what_the_daemon_knows(
    watch: WatchSnapshot, *, online: bool, severity: Severity, words: str
) -> None:
    found = only(check_watches([watch], online=online))
    assert found.severity is severity
    assert words in f"{found.text} {found.remedy}"
