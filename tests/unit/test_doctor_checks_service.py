"""The doctor's checks of broker, daemon and service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgeassist.doctor.checks.broker import BrokerSnapshot, Fate, check_broker, unreachable
from edgeassist.doctor.checks.daemon import DaemonSnapshot, Ping, check_daemon
from edgeassist.doctor.checks.service import Durations, UnitSnapshot, check_service
from edgeassist.doctor.finding import worst
from edgeassist.protocol.findings import Severity
from edgeassist.protocol.state import NOT_BROUGHT_AGAIN, NOT_DURABLE
from tests.unit.findings import OK, PROBLEM, SKIPPED, WARNING, only, told

BROKER = BrokerSnapshot(
    "localhost:1883",
    reply_topic="e/box/reply/doctor-1",
    response_topic="e/box/response/doctor",
    command_topic="e/box/command/ping",
    reply=Fate.DELIVERED,
    response=Fate.DELIVERED,
    command=Fate.DELIVERED,
    large=Fate.DELIVERED,
    answer_bytes=8192,
)
HEALTH = {"state": "ready", "reason": None, "version": "2.0", "engine_restarts": 0, "uptime_s": 7200}
DAEMON = DaemonSnapshot(
    "e/box", "edgeassist-box", "2.0", status="online", boots=1, health=HEALTH, ping=Ping.ANSWERED
)
UNIT = UnitSnapshot(
    "edgeassist.service",
    user_manager=False,
    load_state="loaded",
    active_state="active",
    sub_state="running",
    enabled="enabled",
    result="success",
    watchdog_s=30.0,
    stop_timeout_s=60.0,
)


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({}, OK, ("takes answers",)),
        ({"reply": Fate.ACCEPTED, "response": Fate.ACCEPTED, "large": Fate.ACCEPTED}, OK, ()),
        ({"connect_problem": "no such host: check mqtt.host"}, PROBLEM, ("check mqtt.host",)),
        ({"connect_problem": "refused", "local": True}, PROBLEM, ("journalctl -u mosquitto",)),
        ({"connect_problem": "refused", "without_password": True}, SKIPPED, ("sudo edgeassist doctor",)),
        ({"mute": True}, PROBLEM, ("answers nothing",)),
        ({"lost": "it was thrown out"}, PROBLEM, ("it was thrown out",)),
        ({"refused": {"e/box/prompt/+": "Not authorized"}}, PROBLEM, ("topic read e/box/prompt/+",)),
        ({"command": Fate.ACCEPTED}, PROBLEM, ("topic read e/box/command/#",)),
        ({"command": Fate.SWALLOWED}, OK, ()),
        ({"command": Fate.REFUSED}, OK, ()),
        ({"reply": Fate.REFUSED}, PROBLEM, ("topic write e/box/reply/#",)),
        ({"response": Fate.REFUSED}, PROBLEM, ("topic write e/box/response/#",)),
        ({"reply": Fate.UNANSWERED}, PROBLEM, ("does not acknowledge",)),
        ({"reply": Fate.SWALLOWED, "large": Fate.SWALLOWED}, WARNING, ("does not come back",)),
        ({"large": Fate.REFUSED}, PROBLEM, ("message_size_limit 8192",)),
        ({"large": Fate.UNANSWERED, "lost": "protocol"}, PROBLEM, ("message_size_limit 8192",)),
        ({"large": Fate.NOT_TRIED, "max_packet_bytes": 2000}, PROBLEM, ("max_packet_size 8192",)),
        ({"max_packet_bytes": 8192}, OK, ()),
        ({"only_version": "3.1.1"}, WARNING, ("only MQTT 3.1.1", 'mqtt.protocol to "3.1.1"')),
        ({"max_qos": 0}, WARNING, ("QoS 0", "max_qos 1")),
        ({"max_qos": 1}, OK, ()),
        ({"retains": False}, WARNING, ("status, health", "retain_available true")),
        ({"certificate_days": 13.9}, WARNING, ("ends in 14 days", "renew")),
        ({"certificate_days": 14.1}, OK, ()),
        ({"retained_prompts": ("e/box/prompt",)}, WARNING, ("mosquitto_pub -r -n -t 'e/box/prompt'",)),
        ({"retained_prompts": tuple("abcde")}, WARNING, ("2 more topics",)),
        (
            {"left_behind": {"e/old": ("ha/device/e__old/config", "e/old/status")}},
            WARNING,
            (
                "this device was e/old before",
                "readwrite e/old/#",
                'in ha/device/e__old/config e/old/status; do mosquitto_pub -r -n -t "$topic"; done',
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_broker_is_told(
    change: dict[str, Any], severity: Severity, words: tuple[str, ...]
) -> None:
    findings = list(check_broker(replace(BROKER, **change)))
    assert worst(findings) is severity
    assert told(findings, severity, *words)


def test_a_connection_that_ends_over_a_long_message_is_told_once() -> None:
    findings = check_broker(replace(BROKER, large=Fate.UNANSWERED, lost="protocol"))
    assert len([each for each in findings if each.severity is PROBLEM]) == 1


def test_what_only_the_broker_knows_is_skipped_without_it() -> None:
    assert unreachable("daemon", BROKER) is None
    lost = unreachable("daemon", replace(BROKER, connect_problem="nothing listens"))
    assert lost is not None
    assert lost.severity is SKIPPED
    assert unreachable("daemon", replace(BROKER, mute=True)) is not None
    assert unreachable("daemon", replace(BROKER, lost="it ended")) is not None
    assert unreachable("daemon", replace(BROKER, lost="it ended", large=Fate.UNANSWERED)) is None


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({}, OK, ("online and answers",)),
        ({"status": None, "ping": Ping.SILENCE}, PROBLEM, ("never seen", "edgeassist run")),
        (
            {"status": "offline", "ping": Ping.UNHEARD, "unit_active": False},
            PROBLEM,
            ("offline", "systemctl start"),
        ),
        (
            {"status": "offline", "ping": Ping.SILENCE, "unit_active": True},
            PROBLEM,
            ("can't connect", "journalctl"),
        ),
        ({"status": "offline"}, WARNING, ("answers", "'offline'", "topic read e/box/status")),
        ({"status": None}, WARNING, ("answers", "no status of it")),
        ({"answers": 2}, PROBLEM, ("2 daemons are e/box", "device.name")),
        (
            {"health": {**HEALTH, "reason": "another daemon is e/box too"}},
            PROBLEM,
            ("another daemon is e/box too", "device.name"),
        ),
        ({"ping": Ping.SILENCE}, PROBLEM, ("does not answer",)),
        ({"ping": Ping.REFUSED}, SKIPPED, ("edgeassist ask",)),
        ({"ping": Ping.UNHEARD}, SKIPPED, ("edgeassist ask",)),
        ({"health": None}, WARNING, ("its health is not to be seen",)),
        ({"flapped": True}, PROBLEM, ("'edgeassist-box'", "device.name")),
        ({"boots": 2}, PROBLEM, ("mqtt.client_id",)),
        ({"installed": "2.1"}, WARNING, ("version 2.0 runs and 2.1 is installed",)),
    ],
)
def test_what_is_wrong_with_a_daemon_is_told(
    change: dict[str, Any], severity: Severity, words: tuple[str, ...]
) -> None:
    findings = list(check_daemon(replace(DAEMON, **change)))
    assert worst(findings) is severity
    assert told(findings, severity, *words)


def lost(why: str) -> dict[str, Any]:
    """Return what health says where requests do not outlive a restart."""
    return {"durable": False, "undurable_reason": why}


TAKEN = "the broker at b:1883 says: Session taken over: another client is 'edgeassist-box' too"


@pytest.mark.parametrize(
    ("health", "severity", "words"),
    [
        ({"state": "busy"}, OK, ()),
        ({"state": "degraded", "reason": "no model"}, PROBLEM, ("degraded", "no model")),
        ({"state": "loading"}, WARNING, ("loading",)),
        ({"state": "loading", "reason": "cut short"}, PROBLEM, ("no prompt is answered: cut short",)),
        ({"engine_restarts": 3}, WARNING, ("its engine died or hung 3 times",)),
        ({"mqtt_refused": 3, "mqtt_last_refusal": "a: no"}, WARNING, ("refused 3 of its messages", "a: no")),
        ({"mqtt_limits": "it keeps no retained messages"}, WARNING, ("no retained messages",)),
        ({"mqtt_dropped": 2}, WARNING, ("2 messages could not be published",)),
        ({"mqtt_reconnects": 30, "mqtt_last_problem": "lost"}, WARNING, ("30 times in 2.0 hours", "lost")),
        ({"mqtt_reconnects": 3, "mqtt_last_problem": "lost"}, OK, ()),
        ({"mqtt_reconnects": 30, "mqtt_last_problem": TAKEN}, PROBLEM, ("throw each other off",)),
        ({"mqtt_reconnects": 1, "mqtt_last_problem": TAKEN}, OK, ()),
        ({"mqtt_reconnects": 0, "mqtt_last_problem": TAKEN}, OK, ()),
        ({"mqtt_reconnects": None, "uptime_s": None, "version": None}, OK, ()),
        (lost("box.db: database or disk is full"), WARNING, ("outlive a restart: box.db", "make room")),
        (lost("the journal is full (journal.entries: 5)"), WARNING, ("journal.mb higher",)),
        (lost("another daemon has box.db"), WARNING, ("another daemon has", "log")),
        (lost(NOT_DURABLE), OK, ()),
        (lost(NOT_BROUGHT_AGAIN), OK, ()),
        ({"durable": True, "undurable_reason": None}, OK, ()),
    ],
)
def test_what_health_says_is_judged(
    health: dict[str, Any], severity: Severity, words: tuple[str, ...]
) -> None:
    findings = list(check_daemon(replace(DAEMON, health={**HEALTH, **health})))
    assert worst(findings) is severity
    assert told(findings, severity, *words)


def test_without_systemd_no_remedy_speaks_of_it() -> None:
    health = {**HEALTH, "version": "1.0", "engine_restarts": 1, "state": "degraded"}
    remedies = [str(each.remedy) for each in check_daemon(replace(DAEMON, health=health))]
    assert len(remedies) > 3
    assert not any("systemctl" in remedy or "journalctl" in remedy for remedy in remedies)


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({}, OK, ("active and enabled",)),
        ({"load_state": "not-found"}, WARNING, ("no unit",)),
        ({"load_state": "masked"}, PROBLEM, ("systemctl unmask edgeassist.service",)),
        ({"enabled": "disabled"}, WARNING, ("systemctl enable edgeassist.service",)),
        ({"active_state": "failed", "exit_status": 78}, PROBLEM, ("a setting has to be mended",)),
        ({"active_state": "failed", "result": "watchdog", "exit_status": 6}, PROBLEM, ("watchdog",)),
        ({"active_state": "activating", "sub_state": "auto-restart", "restarts": 9}, PROBLEM, ("9 times",)),
        ({"active_state": "activating", "sub_state": "start", "restarts": 3}, PROBLEM, ("3 times",)),
        ({"active_state": "activating", "sub_state": "start", "restarts": 0}, OK, ()),
        ({"active_state": "inactive", "sub_state": "dead"}, PROBLEM, ("systemctl start edgeassist.service",)),
        ({"watchdog_s": 5.0}, WARNING, ("WatchdogSec=30",)),
        ({"watchdog_s": None}, OK, ()),
        ({"start_timeout_s": 90.0}, WARNING, ("300 s", "TimeoutStartSec=infinity")),
        ({"stop_timeout_s": 10.0}, WARNING, ("TimeoutStopSec=46",)),
        ({"user_manager": True, "enabled": "disabled"}, WARNING, ("systemctl --user enable",)),
    ],
)
def test_what_is_wrong_with_a_unit_is_told(
    change: dict[str, Any], severity: Severity, words: tuple[str, ...]
) -> None:
    findings = list(check_service(replace(UNIT, **change), Durations()))
    assert worst(findings) is severity
    assert told(findings, severity, *words)


@pytest.mark.parametrize(("load_s", "severity"), [(30.0, OK), (60.0, WARNING), (None, WARNING)])
def test_a_start_timeout_is_held_against_the_last_load(load_s: float | None, severity: Severity) -> None:
    unit = replace(UNIT, start_timeout_s=90.0)
    assert only(check_service(unit, Durations(load_s=load_s))).severity is severity


@pytest.mark.parametrize(
    ("limit", "locks", "severity"),
    [(8 << 20, True, WARNING), (None, True, OK), (8 << 20, False, OK)],
)
def test_a_model_to_be_locked_in_memory_needs_a_unit_that_lets_it(
    limit: int | None,
    locks: bool,  # noqa: FBT001 - a column of the table
    severity: Severity,
) -> None:
    finding = only(check_service(replace(UNIT, memlock_bytes=limit), Durations(), locks=locks))
    assert finding.severity is severity
    assert ("LimitMEMLOCK=infinity" in str(finding.remedy)) is (severity is WARNING)


def test_without_systemd_its_checks_are_skipped() -> None:
    assert only(check_service(None, Durations())).severity is SKIPPED
