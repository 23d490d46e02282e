"""That the device is there is said, and stays said, whatever somebody else makes of its status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.client.requester import Requester
from edgeassist.gateways.mqtt import reporter, twins
from edgeassist.protocol.events import Done
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon
from tests import preloaded
from tests.conftest import TOPICS, AsyncConnect, StartReady, Wire, kind, options_for
from tests.integration.house import running
from tests.integration.link import until


def said(wire: Wire) -> list[str]:
    """Return what was said on the status topic while the wire listened."""
    return [each.payload.decode() for each in wire.heard if each.topic == TOPICS.status and not each.retained]


async def says_online_after(wire: Wire, payload: bytes) -> None:
    """Publish a wrong status, and wait until the device says otherwise."""
    before = len(said(wire))
    wire.say(TOPICS.status, payload, qos=1, retain=True)
    await until(lambda: said(wire)[before:] == [payload.decode(), "online"])


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_status_that_is_wrong_is_said_again(
    ready: StartReady, connect: AsyncConnect, protocol: str
) -> None:
    await ready(daemon__telemetry_s=3600, mqtt__protocol=protocol)
    wire = await connect.wire(TOPICS.status)
    late_will, cleared, unknown = b"offline", b"", b"gone"
    for payload in (late_will, cleared, unknown):
        await says_online_after(wire, payload)
        late = await connect.wire(TOPICS.status)
        assert (await late.until(lambda message: message.retained)).payload == b"online"


class HalfOpenLink:
    """A TCP link whose near end can break without a word to the broker."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._near: list[asyncio.StreamWriter] = []
        self._far: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> HalfOpenLink:
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for each in (*self._near, *self._far):
            each.transport.abort()

    def break_near(self) -> None:
        for each in self._near:
            each.transport.abort()
        self._near.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, far = await asyncio.open_connection(HOST, self._target)
        self._near.append(writer)
        self._far.append(far)
        await asyncio.gather(self._pump(reader, far), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_will_of_a_connection_that_the_broker_thought_alive_does_not_stand(
    ready: StartReady, connect: AsyncConnect, broker: PrivateBroker, protocol: str
) -> None:
    async with HalfOpenLink(broker.port) as link:
        await ready(mqtt__port=link.port, daemon__telemetry_s=3600, mqtt__protocol=protocol)
        wire = await connect.wire(TOPICS.status, TOPICS.instance)
        link.break_near()
        # The second connection's marker: the broker has taken the session over.
        await wire.until(lambda message: b'"connection":2' in message.payload)
        await until(lambda: said(wire)[-1:] == ["online"])
        await asyncio.sleep(0.5)
        assert said(wire)[-1] == "online"


async def test_somebody_who_insists_gets_a_word_a_while_and_no_storm(
    ready: StartReady, connect: AsyncConnect
) -> None:
    await ready(daemon__telemetry_s=3600)
    wire = await connect.wire(TOPICS.status)

    def insist(message: Inbound) -> None:
        if message.payload == b"online":
            wire.say(TOPICS.status, b"offline", qos=1, retain=True)

    opponent = await connect.wire(TOPICS.status)
    opponent.broker.subscribe(Subscription(TOPICS.status, qos=1), insist)
    wire.say(TOPICS.status, b"offline", qos=1, retain=True)
    await until(lambda: said(wire).count("online") >= 2)
    await asyncio.sleep(3)
    # After 0.1, 0.4, 1.6 and 6.4 s.
    assert said(wire).count("online") <= 4


async def test_online_is_said_with_the_telemetry_for_a_daemon_that_may_not_read_its_own(
    ready: StartReady, connect: AsyncConnect
) -> None:
    await ready(daemon__telemetry_s=1)
    wire = await connect.wire(TOPICS.status)
    await until(lambda: said(wire).count("online") >= 2)


async def test_a_daemon_that_stops_leaves_offline(ready: StartReady, connect: AsyncConnect) -> None:
    daemon, _ = await ready(daemon__telemetry_s=1)
    wire = await connect.wire(TOPICS.status)
    await asyncio.to_thread(daemon.stop, signal.SIGTERM)
    late = await connect.wire(TOPICS.status)
    assert (await late.until(lambda message: message.retained)).payload == b"offline"
    assert said(wire)[-1] == "offline"


async def test_that_nothing_outlives_a_restart_any_more_is_said_however_soon_after_the_last_word(
    broker: PrivateBroker, connect: AsyncConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "LEAST_INTERVAL_S", 3600)
    async with running(broker, connect, JOURNAL__ENTRIES="1"):
        wire = await connect.wire(TOPICS.health, TOPICS.reply("+"))
        first = {"id": "first", "prompt": "!script delay_ms=50\n" + "word " * 400}
        wire.say(TOPICS.prompt(), json.dumps(first), qos=1)
        await wire.until(lambda message: kind(message) == "chunk")
        wire.say(TOPICS.prompt(), "second", qos=1)
        await wire.until(
            lambda message: message.topic == TOPICS.health and not json.loads(message.payload)["durable"]
        )


# --- two daemons of one name ----------------------------------------------------------------------------


async def health_tells(client: Requester, *words: str) -> None:
    """Wait until the reason in `health` has all these words."""

    def told() -> bool:
        health = json.loads(client._retained.get(TOPICS.health, b"{}"))
        return all(word in str(health.get("reason")) for word in words)

    await until(told)


def names_of(other: PrivateDaemon) -> str:
    """Return how a daemon on this machine names another one."""
    return f"process {other.pid} on this machine (127.0.0.1)"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_two_daemons_with_two_client_ids_name_each_other_in_log_health_and_doctor(
    ready: StartReady, broker: PrivateBroker, protocol: str
) -> None:
    one, client = await ready(mqtt__client_id="first", mqtt__protocol=protocol)
    other, _ = await ready(mqtt__client_id="second", mqtt__protocol=protocol)
    # Both have one log.
    await until(lambda: names_of(one) in one.log.read_text() and names_of(other) in one.log.read_text())
    await health_tells(client, "another daemon is edgeassist/box too, and every prompt is answered twice")
    found = json.loads((await command(broker, "doctor", "--json")).stdout)["findings"]
    told = [each for each in found if each["area"] == "daemon" and each["severity"] == "problem"]
    assert "every prompt is answered twice: process" in told[0]["text"]
    assert "device.name" in told[0]["remedy"]
    await asyncio.to_thread(one.stop)
    assert one.log.read_text().count("another daemon is") == 2


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_two_daemons_with_one_client_id_name_each_other_in_log_health_and_doctor(
    ready: StartReady, broker: PrivateBroker, protocol: str
) -> None:
    one, client = await ready(mqtt__protocol=protocol)
    other, _ = await ready(mqtt__protocol=protocol)
    await until(lambda: names_of(one) in one.log.read_text() and names_of(other) in one.log.read_text())
    await health_tells(
        client, "another daemon is edgeassist/box too, and they throw each other off the broker"
    )
    found = json.loads((await command(broker, "doctor", "--json")).stdout)["findings"]
    told = [each for each in found if each["area"] == "daemon" and each["severity"] == "problem"]
    assert "they throw each other off the broker: process" in told[0]["text"]
    assert "device.name" in told[0]["remedy"]


async def test_the_last_run_of_the_same_daemon_is_no_twin(
    ready: StartReady, broker: PrivateBroker, connect: AsyncConnect
) -> None:
    first, _ = await ready()
    await asyncio.to_thread(first.stop, signal.SIGKILL)
    second, _ = await ready()
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)
    wire = await connect.wire(TOPICS.instance)
    marker = await wire.until(lambda message: message.retained or bool(message.payload))
    assert json.loads(marker.payload)["pid"] == second.pid
    assert "another daemon is" not in second.log.read_text()


async def test_a_twin_that_is_gone_is_forgotten_and_one_that_stays_is_not(
    broker: PrivateBroker, connect: AsyncConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twins, "REPEAT_S", 0.1)
    monkeypatch.setattr(twins, "FORGET_S", 4.0)
    async with running(broker, connect) as (_, client):
        wire = await connect.wire(TOPICS.instance)
        own = await wire.until(lambda message: bool(message.payload))
        marker = {**json.loads(own.payload), "boot_id": "other", "host": "attic", "address": "192.0.2.7"}
        wire.say(TOPICS.instance, b"no marker")
        wire.say(TOPICS.instance, json.dumps({**marker, "host": "two\nlines"}))
        for _ in range(10):
            wire.say(TOPICS.instance, json.dumps(marker), qos=1, retain=True)
            await health_tells(client, "on attic (192.0.2.7)")
            await asyncio.sleep(0.1)
        await health_tells(client, "None")


# --- those who ask --------------------------------------------------------------------------------------

# Whoever is not `box` may do everything; a daemon that is may not see its own status.
RIGHTS = """
topic readwrite #
user box
topic read edgeassist/box/prompt/#
topic read edgeassist/box/command/#
topic write edgeassist/box/#
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    """One that takes any user at his word."""
    (tmp_path / "rights").write_text(RIGHTS)
    with PrivateBroker(tmp_path, ("allow_anonymous true", f"acl_file {tmp_path / 'rights'}")) as running:
        yield running


async def command(broker: PrivateBroker, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of a person's commands."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
    ours = {
        "MQTT__HOST": HOST,
        "MQTT__PORT": str(broker.port),
        "DEVICE__NAME": "box",
        "MODEL__BACKEND": "scripted",
    }
    environ |= {f"EDGEASSIST_{key}": value for key, value in ours.items()} | {"COLUMNS": "200"}
    return await asyncio.to_thread(preloaded.run, *arguments, environ=environ)


@pytest.mark.parametrize("status", [b"offline", b""], ids=["late will", "cleared"])
async def test_a_device_that_answers_is_online_whatever_its_status_says(
    ready: StartReady, connect: AsyncConnect, broker: PrivateBroker, status: bytes
) -> None:
    daemon, _ = await ready(mqtt__username="box", daemon__telemetry_s=3600)
    wire = await connect.wire(TOPICS.status)
    wire.say(TOPICS.status, status, qos=1, retain=True)
    await wire.until(lambda message: message.payload == status and not message.retained)
    asked = await command(broker, "ask", "hello")
    assert (asked.returncode, asked.stdout) == (0, "hello\n"), asked.stderr
    shown = await command(broker, "status")
    assert (shown.returncode, "it answers, though the broker keeps" in shown.stdout) == (0, True), (
        shown.stdout
    )
    found = await command(broker, "doctor", "--json")
    told = [each for each in json.loads(found.stdout)["findings"] if each["area"] == "daemon"]
    assert [each["severity"] for each in told] == ["warning", "ok"]
    assert "topic read edgeassist/box/status" in told[0]["remedy"]
    # And in mid answer, for one who was connected before.
    far = Requester(options_for(broker.port), TOPICS, name="far", return_s=0.3)
    async with far:
        answers = [far.answer("!script repeat=60 delay_ms=50\nabcd") for _ in range(6)]
        assert all([isinstance(await each, Done) for each in map(asyncio.ensure_future, answers)])
    assert said(wire).count("online") == 0
    assert daemon.poll() is None
