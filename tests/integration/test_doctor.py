"""`edgeassist doctor` against real brokers that are wrong in some way.

What it prints and how it ends is asked of the command, what it finds of the function behind it: a process for
each costs more than all that it looks at.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme

from edgeassist.doctor import examination
from edgeassist.sandbox import HOST, PrivateBroker, free_port
from tests import preloaded
from tests.conftest import TOPICS, AsyncConnect, StartDaemon, StartReady, Wire
from tests.integration.test_broker_versions import OLDER, Gate
from tests.patience import PATIENCE_S

PASSWORD = {"mqtt__username": "box", "mqtt__password": "right"}
RIGHTS = """
user box
topic read edgeassist/box/prompt/#
topic read edgeassist/box/command/#
topic write edgeassist/box/#
"""
PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


def environ_of_user(**settings: Any) -> dict[str, str]:
    """Return the environment of a person who set these, and nothing else of ours."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
    ours = {"device__name": "box", "mqtt__host": HOST, "model__backend": "scripted", **settings}
    return environ | {f"EDGEASSIST_{key.upper()}": str(value) for key, value in ours.items()}


def examine(*options: str, config: Path | None = None, **settings: Any) -> tuple[int, str]:
    """Run the command; return its exit status and what it prints."""
    named = [] if config is None else ["--config", str(config)]
    ended = preloaded.run(*named, "doctor", *options, environ=environ_of_user(**settings))
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def printed_findings(area: str, **settings: Any) -> list[tuple[str, str]]:
    """Return the severities and texts of an area, as the command prints them."""
    status, printed = examine("--json", **settings)
    report = json.loads(printed)
    assert status == {"ok": 0, "skipped": 0, "warning": 1, "problem": 2}[report["worst"]]
    return [(each["severity"], each["text"]) for each in report["findings"] if each["area"] == area]


def findings(area: str, **settings: Any) -> list[tuple[str, str]]:
    """Return the severities and texts of an area. In a thread, since it has an event loop of its own."""
    examined = examination.examine(None, environ_of_user(**settings))
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(asyncio.run, examined).result(PATIENCE_S)
    assert all(each.remedy is None or each.severity.value != "ok" for each in found)
    return [(each.severity.value, each.text) for each in found if each.area == area]


def bad(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(severity, text) for severity, text in found if severity != "ok"]


class StartBroker(Protocol):
    def __call__(self, *lines: str, rights: str = "") -> PrivateBroker: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartBroker]:
    """Start a Mosquitto that knows the box, with these lines in its configuration and these rights."""
    with ExitStack() as stack:

        def run(*lines: str, rights: str = "") -> PrivateBroker:
            people = tmp_path / "people"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(people), "box", "right"], check=True)
            (tmp_path / "rights").write_text(rights)
            acl = (f"acl_file {tmp_path / 'rights'}",) if rights else ()
            settings = ("allow_anonymous false", f"password_file {people}", *acl, *lines)
            return stack.enter_context(PrivateBroker(tmp_path, settings))

        yield run


async def test_a_box_that_is_well_has_nothing_to_be_mended_at_broker_and_daemon(
    broker: PrivateBroker, ready: StartReady
) -> None:
    await ready()
    assert bad(printed_findings("broker", mqtt__port=broker.port)) == []
    assert findings("daemon", mqtt__port=broker.port) == [("ok", "edgeassist/box is online and answers")]


def test_without_a_daemon_there_is_the_command_that_starts_one(broker: PrivateBroker) -> None:
    status, printed = examine("--json", mqtt__port=broker.port)
    found = [each for each in json.loads(printed)["findings"] if each["area"] == "daemon"]
    assert status == 2
    assert [each["severity"] for each in found] == ["problem"]
    assert "never seen" in found[0]["text"]
    assert found[0]["remedy"] == "edgeassist run"


def test_a_dead_port_is_named_with_its_setting_and_the_rest_is_still_looked_at() -> None:
    port = free_port()
    status, printed = examine("--json", mqtt__port=port)
    report = json.loads(printed)["findings"]
    areas = {each["area"]: each for each in report}
    assert status == 2
    assert f"{HOST}:{port}" in areas["broker"]["text"]
    assert "mqtt.port" in areas["broker"]["text"]
    assert areas["daemon"]["severity"] == "skipped"
    assert {"settings", "model", "threads", "llama.cpp", "service", "clock"} <= set(areas)


def test_a_port_that_takes_connections_and_never_answers_is_told() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(8)
        found = findings("broker", mqtt__port=listener.getsockname()[1])
    assert len(found) == 1
    assert "never answers" in found[0][1]


async def test_a_broker_that_greets_and_then_swallows_everything_is_told() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK: success
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = bad(await asyncio.to_thread(findings, "broker", mqtt__port=port))
    assert [severity for severity, _ in found] == ["problem"]
    assert "answers nothing" in found[0][1]


def test_a_broker_that_speaks_no_tls_is_told_with_the_settings_to_check(broker: PrivateBroker) -> None:
    found = findings("broker", mqtt__port=broker.port, mqtt__tls="true")
    assert [severity for severity, _ in found] == ["problem"]
    assert "mqtt.tls" in found[0][1]


def test_a_broker_without_retained_messages_is_told(start: StartBroker) -> None:
    found = bad(findings("broker", mqtt__port=start("retain_available false").port, **PASSWORD))
    assert [severity for severity, _ in found] == ["warning"]
    assert "retained" in found[0][1]


def test_a_broker_of_qos_0_is_told_and_still_looked_at(start: StartBroker) -> None:
    found = findings("broker", mqtt__port=start("max_qos 0").port, **PASSWORD)
    assert [text for severity, text in found if severity == "warning" and "QoS 0" in text]
    assert {severity for severity, _ in found} == {"ok", "warning"}


def test_a_broker_that_takes_other_client_ids_is_told_with_the_setting(start: StartBroker) -> None:
    broker = start("clientid_prefixes kitchen")
    severity, text = findings("broker", mqtt__port=broker.port, **PASSWORD)[0]
    assert severity == "problem"
    assert "'edgeassist-box-doctor-" in text
    assert "mqtt.client_id" in text
    assert bad(findings("broker", mqtt__port=broker.port, mqtt__client_id="kitchen-1", **PASSWORD)) == []


async def test_a_broker_that_takes_only_3_1_1_is_looked_at_in_that_and_told(broker: PrivateBroker) -> None:
    async with Gate(broker.port, lambda version: version == OLDER) as gate:
        found = await asyncio.to_thread(findings, "broker", mqtt__port=gate.port)
    assert [text for severity, text in found if severity == "warning" and "only MQTT 3.1.1" in text]
    assert {severity for severity, _ in found} == {"ok", "warning"}


def test_a_certificate_that_ends_soon_is_told(tmp_path: Path) -> None:
    authority = trustme.CA()
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=5)
    papers = authority.issue_cert(HOST, not_after=soon)
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    papers.cert_chain_pems[0].write_to_path(tmp_path / "broker.crt")
    papers.private_key_pem.write_to_path(tmp_path / "broker.key")
    lines = (f"certfile {tmp_path}/broker.crt", f"keyfile {tmp_path}/broker.key")
    with PrivateBroker(tmp_path, ("allow_anonymous true", *lines)) as broker:
        tls = {"mqtt__tls": "true", "mqtt__tls_ca": tmp_path / "ca.crt"}
        found = bad(findings("broker", mqtt__port=broker.port, **tls))
    assert [severity for severity, _ in found] == ["warning"]
    assert "ends in 5 days" in found[0][1]


@PROTOCOLS
def test_a_wrong_password_is_named_with_its_settings(start: StartBroker, protocol: str) -> None:
    broker = start()
    settings = {"mqtt__port": broker.port, "mqtt__protocol": protocol, **PASSWORD, "mqtt__password": "wrong"}
    severity, text = findings("broker", **settings)[0]
    assert severity == "problem"
    assert "mqtt.password" in text


@PROTOCOLS
async def test_a_daemon_with_just_its_rights_is_well(
    start: StartBroker, daemon: StartDaemon, protocol: str
) -> None:
    broker = start(rights=RIGHTS)
    settings: dict[str, Any] = {"mqtt__port": broker.port, "mqtt__protocol": protocol, **PASSWORD}
    daemon(**settings)
    found = findings("broker", **settings)
    # MQTT 3.1.1 does not tell a message that was refused from one that nobody may read.
    assert {severity for severity, _ in found} == ({"ok"} if protocol == "5" else {"ok", "warning"})


def test_an_acl_that_forbids_answers_is_told_by_mqtt_5(start: StartBroker) -> None:
    rights = RIGHTS.replace("topic write edgeassist/box/#", "topic write edgeassist/box/status")
    broker = start(rights=rights)
    found = bad(findings("broker", mqtt__port=broker.port, **PASSWORD))
    refused = [text for severity, text in found if severity == "problem" and "refuses" in text]
    assert len(refused) == 2
    assert any("edgeassist/box/reply/" in text for text in refused)
    assert any("edgeassist/box/response/" in text for text in refused)


def test_an_acl_that_withholds_commands_is_told_by_mqtt_5(start: StartBroker) -> None:
    broker = start(rights=RIGHTS.replace("topic read edgeassist/box/command/#\n", ""))
    found = bad(findings("broker", mqtt__port=broker.port, **PASSWORD))
    assert [severity for severity, _ in found] == ["problem"]
    assert "edgeassist/box/command/ping" in found[0][1]


def test_answers_that_mqtt_3_1_1_lets_vanish_are_a_warning(start: StartBroker) -> None:
    broker = start(rights="user box\ntopic read edgeassist/box/#\n")
    found = bad(findings("broker", mqtt__port=broker.port, mqtt__protocol="3.1.1", **PASSWORD))
    assert [severity for severity, _ in found] == ["warning", "warning"]
    assert all("does not come back" in text for _, text in found)


def refusing(tmp_path: Path) -> PrivateBroker:
    """Return a broker that grants one subscription and refuses all others."""
    rules = {
        "defaultACLAccess": {"subscribe": False, "publishClientReceive": True, "publishClientSend": True},
        "roles": [{"rolename": "some", "acls": [
            {"acltype": "subscribePattern", "topic": "edgeassist/box/prompt", "allow": True},
        ]}],
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "some"}]}],
        "anonymousGroup": "all",
    }  # fmt: skip
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    lines = (
        "plugin mosquitto_dynamic_security.so",
        f"plugin_opt_config_file {tmp_path / 'rules.json'}",
        "allow_anonymous true",
    )
    return PrivateBroker(tmp_path, lines)


def test_a_subscription_that_is_refused_is_named(tmp_path: Path) -> None:
    with refusing(tmp_path) as broker:
        found = bad(findings("broker", mqtt__port=broker.port))
    refused = [text for severity, text in found if severity == "problem"]
    assert any("edgeassist/box/prompt/+" in text for text in refused)
    assert any("edgeassist/box/command/+" in text for text in refused)
    assert not any("edgeassist/box/prompt " in text for text in refused)


WATCHES = json.dumps(
    [
        {
            "name": "w",
            "topics": ["secret/1", "secret/2"],
            "questions": {"q": {"type": "yes_no", "instructions": "?"}},
            "interval_s": 1,
        }
    ]
)


async def test_a_watch_that_hears_nothing_is_told_and_one_that_does_is_well_without_its_topics(
    broker: PrivateBroker, ready: StartReady, connect: AsyncConnect
) -> None:
    settings = {"mqtt__port": broker.port, "watch": WATCHES}
    await ready(environ={"EDGEASSIST_WATCH": WATCHES})
    silent = await asyncio.to_thread(findings, "watches", **settings)
    assert silent == [("warning", "'w' is unknown: no message has come yet; 0 of its 2 topics have a value")]
    wire = await connect.wire("edgeassist/box/watch/w")
    wire.say("secret/1", b"yes", retain=True)
    await wire.until(lambda message: b'"choice":"yes"' in message.payload)
    ((severity, text),) = await asyncio.to_thread(findings, "watches", **settings)
    assert severity == "ok"
    assert "'w' may listen; 1 of its 2 topics have a value, and is known of 20" in text


def test_a_watched_topic_that_the_broker_refuses_is_named_by_its_place(tmp_path: Path) -> None:
    with refusing(tmp_path) as broker:
        found = findings("watches", mqtt__port=broker.port, watch=WATCHES)
    assert [severity for severity, _ in found] == ["problem", "problem"]
    assert "topics.0 of 'w'" in found[0][1]
    assert "secret" not in str(found)


@pytest.mark.parametrize("limit", ["max_packet_size 2000", "message_size_limit 2000"])
def test_a_broker_that_takes_no_long_answer_is_told(start: StartBroker, limit: str) -> None:
    broker = start(limit)
    found = bad(findings("broker", mqtt__port=broker.port, **PASSWORD))
    assert [severity for severity, _ in found] == ["problem"]
    assert "sampling.max_tokens" in found[0][1]


async def test_a_prompt_that_is_retained_is_found_and_left_there(
    broker: PrivateBroker, connect: AsyncConnect
) -> None:
    wire = await connect.wire("nothing")
    wire.say(TOPICS.prompt("kitchen"), b"old", qos=1, retain=True)
    wire.say(TOPICS.decide(), b"old", qos=1, retain=True)
    assert await wire.broker.flush(5)
    found = await asyncio.to_thread(findings, "broker", mqtt__port=broker.port)
    assert [severity for severity, _ in bad(found)] == ["warning", "warning"]
    assert TOPICS.decide() in bad(found)[0][1]
    assert TOPICS.prompt("kitchen") in bad(found)[1][1]
    listener = await connect.wire(TOPICS.prompt("+"))
    assert (await listener.until(lambda message: message.retained)).payload == b"old"


async def test_nothing_is_published_where_a_client_or_the_daemon_would_act_on_it(
    broker: PrivateBroker, connect: AsyncConnect
) -> None:
    wire = await connect.wire("#")
    await asyncio.to_thread(findings, "broker", mqtt__port=broker.port)
    assert await wire.broker.flush(5)
    said = {message.topic.removeprefix(TOPICS.root).rpartition("/")[0] for message in wire.heard}
    assert said == {"/reply", "/response", "/command"}
    commands = {message.topic for message in wire.heard if "/command/" in message.topic}
    assert commands == {TOPICS.command("ping")}
    late: Wire = await connect.wire("#")
    await asyncio.sleep(0.5)
    assert late.heard == []


async def test_a_daemon_that_hangs_is_found_out(broker: PrivateBroker, ready: StartReady) -> None:
    process, _ = await ready()
    os.kill(process.pid, signal.SIGSTOP)
    try:
        found = await asyncio.to_thread(findings, "daemon", mqtt__port=broker.port)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert [severity for severity, _ in found] == ["problem"]
    assert "does not answer" in found[0][1]


async def test_two_daemons_of_one_name_are_found_out(
    broker: PrivateBroker, daemon: StartDaemon, connect: AsyncConnect, tmp_path: Path
) -> None:
    daemon()
    client = await connect()
    assert await client.wait_health(frozenset({"ready"}), PATIENCE_S) is not None
    daemon()
    async with asyncio.timeout(PATIENCE_S):
        while not any("throw each other off" in text for _, text in await look_at_daemon(broker.port)):
            await asyncio.sleep(0.2)


async def look_at_daemon(port: int) -> list[tuple[str, str]]:
    return await asyncio.to_thread(findings, "daemon", mqtt__port=port)


async def test_a_daemon_that_lost_its_model_is_a_problem_and_says_why(
    broker: PrivateBroker, ready: StartReady, trial_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(trial_model.read_bytes())
    process, client = await ready(model__path=model)
    model.write_bytes(b"no model")
    health = json.loads(await client.state(TOPICS.health) or b"{}")
    assert health["state"] == "ready"
    for child in subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split():
        os.kill(int(child), signal.SIGKILL)
    assert await client.wait_health(frozenset({"degraded"}), PATIENCE_S) is not None
    found = bad(await asyncio.to_thread(findings, "daemon", mqtt__port=broker.port))
    assert any(severity == "problem" and "no prompt is answered" in text for severity, text in found)
    assert any("its engine died" in text for _, text in found)


async def test_another_version_that_still_runs_is_told(broker: PrivateBroker, connect: AsyncConnect) -> None:
    wire = await connect.wire("nothing")
    wire.say(TOPICS.status, b"online", qos=1, retain=True)
    wire.say(TOPICS.health, json.dumps({"state": "ready", "version": "0.0.1"}), qos=1, retain=True)
    assert await wire.broker.flush(5)
    found = bad(await asyncio.to_thread(findings, "daemon", mqtt__port=broker.port))
    assert any("version 0.0.1 runs" in text for _, text in found)


def test_a_broken_configuration_is_told_line_for_line_and_the_machine_is_still_looked_at(
    tmp_path: Path,
) -> None:
    config = tmp_path / "box.toml"
    config.write_text('[mqtt]\nhots = "broker"\nport = 0\n')
    status, printed = examine("--json", config=config)
    report = json.loads(printed)["findings"]
    settings = [each["text"] for each in report if each["area"] == "settings"]
    assert status == 2
    assert any("mqtt.hots" in text for text in settings)
    assert any("mqtt.port" in text for text in settings)
    assert {each["area"] for each in report if each["severity"] == "skipped"} >= {"broker", "daemon", "model"}
    assert any(each["area"] == "clock" for each in report)


def test_a_password_that_everybody_can_read_is_a_warning(tmp_path: Path, start: StartBroker) -> None:
    config = tmp_path / "box.toml"
    broker = start()
    config.write_text(f'[mqtt]\nport = {broker.port}\nusername = "box"\npassword = "right"\n')
    config.chmod(0o644)
    printed = examine("--json", config=config)[1]
    assert "everybody on this machine can read" in printed
    assert '"right"' not in printed
    config.chmod(0o640)
    assert "everybody on this machine can read" not in examine("--json", config=config)[1]


def test_in_a_pipe_a_finding_is_a_line_and_colours_are_left_out() -> None:
    status, printed = examine(mqtt__port=free_port())
    assert status == 2
    assert "\x1b" not in printed
    lines = printed.splitlines()
    assert any(line.startswith("problem  broker     nothing listens on") for line in lines)
    assert "1 problem, " in lines[-1]
