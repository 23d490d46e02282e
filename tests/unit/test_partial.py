"""What is left of a document in which somebody has put something else, and what commands make of it."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edgeassist.cli.status import table_of, watches_of
from edgeassist.client.reading import read_state
from edgeassist.doctor.checks.daemon import DaemonSnapshot, Ping, check_daemon
from edgeassist.doctor.probes.daemon import read_daemon
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.partial import known_of
from edgeassist.protocol.state import Availability, Health, Info, StateDocument, Telemetry
from edgeassist.protocol.watches import WatchState
from tests.unit.conftest import TOPICS

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def documents(kind: type[StateDocument]) -> st.SearchStrategy[dict[str, Any]]:
    """Documents with some of these fields, and anything in them."""
    return st.dictionaries(st.sampled_from([*kind.model_fields, "another"]), _JSON, max_size=50)


def shown(**documents: dict[str, Any]) -> str:
    """Return what `edgeassist status` shows of what a device says."""
    kinds: dict[str, type[StateDocument]] = {"health": Health, "telemetry": Telemetry, "info": Info}
    read: dict[str, dict[str, Any]] = {
        name: read_state(kind, json.dumps(documents.get(name, {})).encode()) for name, kind in kinds.items()
    }
    read["watches"] = {"w": read_state(WatchState, json.dumps(documents.get("watch", {})).encode())}
    output = StringIO()
    table = table_of("edgeassist/box", Availability.ONLINE, Availability.ONLINE, read)
    Console(file=output, width=200).print(table)
    return output.getvalue()


@given(documents(Health), documents(Telemetry), documents(Info), documents(WatchState))
def test_whatever_stands_there_is_shown_as_far_as_it_is_as_documented(
    health: dict[str, Any], telemetry: dict[str, Any], info: dict[str, Any], watch: dict[str, Any]
) -> None:
    assert "edgeassist/box" in shown(health=health, telemetry=telemetry, info=info, watch=watch)
    assert all(isinstance(each, str) for each in watches_of(read_state(Info, json.dumps(info).encode())))


@given(documents(Health))
def test_the_doctor_judges_whatever_stands_there(health: dict[str, Any]) -> None:
    asked = DaemonSnapshot("edgeassist/box", "edgeassist-box", "1.0", ping=Ping.ANSWERED, answers=1)
    daemon = read_daemon(asked, [Inbound(TOPICS.health, json.dumps(health).encode())], TOPICS)
    assert list(check_daemon(daemon))


def test_a_field_of_another_type_is_as_one_that_is_not_there_and_the_others_stay() -> None:
    document = {
        "state": "ready",
        "reason": 5,
        "queued": "many",
        "running": 2,
        "uptime_s": True,
        "cpu_temperature_c": 51,
        "cpu_pressure": None,
        "durable": "no",
        "another": 1,
    }
    assert known_of(Health, document) == {
        "state": "ready",
        "running": 2,
        "cpu_temperature_c": 51,
        "cpu_pressure": None,
    }


def test_what_a_newer_device_adds_takes_nothing_away() -> None:
    model = {"name": "m", "context": "long", "dreams": True}
    assert known_of(Health, {"state": "dreaming"}) == {"state": "dreaming"}
    assert known_of(Info, {"model": model, "settings": {"a": [1]}}) == {
        "model": {"name": "m"},
        "settings": {"a": [1]},
    }
    figures = {"errors": {"busy": 2, "asleep": 3, "internal": "x"}, "ttft_ms": {"p50": 1.5, "p95": []}}
    assert known_of(Telemetry, figures) == {"errors": {"busy": 2, "asleep": 3}, "ttft_ms": {"p50": 1.5}}
    assert known_of(Info, {"model": None}) == {"model": None}


@pytest.mark.parametrize("payload", [None, b"", b"x", b"[]", b"5", b"\xff", b'{"state":' + b"[" * 100_000])
def test_what_is_no_object_says_nothing(payload: bytes | None) -> None:
    assert read_state(Health, payload) == {}


def test_status_says_whether_requests_outlive_a_restart_and_why_not() -> None:
    assert "outlives a restart" not in shown(health={"state": "ready"})
    kept = shown(health={"durable": True, "undurable_reason": None})
    assert "yes" in next(line for line in kept.splitlines() if "outlives a restart" in line)
    lost = shown(health={"durable": False, "undurable_reason": "the [disk] is full"})
    assert "no: the [disk] is full" in lost


def test_what_a_small_broker_holds_of_health_is_shown() -> None:
    less = {
        "state": "busy",
        "queued": 1,
        "running": 2,
        "uptime_s": 3,
        "version": "1",
        "boot_id": "b",
        "cut": True,
    }
    told = shown(health=less)
    assert "2 running, 1 waiting" in told
    assert "daemon unknown, engine unknown" in told


def test_words_of_a_device_are_no_markup() -> None:
    assert "[/red] oh [bold]" in shown(health={"state": "degraded", "reason": "[/red] oh [bold]"})
