"""What commands make of a document in which somebody has put something else."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edgeassist.cli.status import table_of
from edgeassist.doctor.checks.daemon import DaemonSnapshot, Ping, check_daemon
from edgeassist.doctor.probes.daemon import read_daemon
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.state import Availability, Health
from tests.unit.conftest import TOPICS

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_HEALTH = st.dictionaries(st.sampled_from([*Health.model_fields, "another"]), _JSON, max_size=50)


@given(_HEALTH)
def test_the_doctor_judges_whatever_stands_there(health: dict[str, Any]) -> None:
    asked = DaemonSnapshot("edgeassist/box", "edgeassist-box", "1.0", ping=Ping.ANSWERED, answers=1)
    daemon = read_daemon(asked, [Inbound(TOPICS.health, json.dumps(health).encode())], TOPICS)
    assert list(check_daemon(daemon))


def shown(**health: Any) -> str:
    """Return what `edgeassist status` shows of such a health."""
    payloads = {"health": json.dumps(health).encode(), "telemetry": None, "info": None}
    output = StringIO()
    table = table_of("edgeassist/box", Availability.ONLINE, Availability.ONLINE, payloads)
    Console(file=output, width=200).print(table)
    return output.getvalue()


def test_status_says_whether_requests_outlive_a_restart_and_why_not() -> None:
    assert "outlives a restart" not in shown(state="ready")
    kept = shown(durable=True, undurable_reason=None)
    assert "yes" in next(line for line in kept.splitlines() if "outlives a restart" in line)
    assert "no: the [disk] is full" in shown(durable=False, undurable_reason="the [disk] is full")
