"""What we add to paho's client: each test fails without it."""

from __future__ import annotations

import asyncio
import resource
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.sandbox import HOST, PrivateBroker
from tests.integration.link import Link, until
from tests.patience import PATIENCE_S, Stopwatch

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
HUGE = 50_000_000
CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x03\x00\x01\x01"


def remaining(length: int) -> bytes:
    """Return a remaining length as MQTT writes it."""
    coded = bytearray()
    while True:
        length, low = divmod(length, 128)
        coded.append(low | (0x80 if length else 0))
        if not length:
            return bytes(coded)


def publish(topic: str, size: int, *, packet: int = 7) -> bytes:
    """Return the beginning of a PUBLISH packet at QoS 1, up to its payload of that size."""
    head = len(topic).to_bytes(2) + topic.encode() + packet.to_bytes(2)
    return b"\x32" + remaining(len(head) + size) + head


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@asynccontextmanager
async def server(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> AsyncIterator[int]:
    """A server of a test's own; yields its port."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await talk(reader, writer)  # type: ignore[misc]

    running = await asyncio.start_server(handle, HOST, 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("retain", [[], ["-r"]])
async def test_of_a_message_that_is_too_long_only_the_head_is_kept_and_the_connection_stands(
    broker: PrivateBroker, tmp_path: Path, qos: int, retain: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "huge"
    file.write_bytes(HUGE * b"x")
    where = ("-h", HOST, "-p", str(broker.port), "-t", "t/huge", "-q", str(qos), *retain)
    size = 100_000
    async with Link(broker.port, protocol="3.1.1", max_packet_bytes=size) as link:
        before = peak_bytes()
        await asyncio.to_thread(
            subprocess.run, ("mosquitto_pub", *where, "-f", str(file)), check=True, timeout=PATIENCE_S
        )
        await link.hears(1)
        link.say("t/1", b"after", qos=1)
        await link.hears(2)
        head = len("t/huge") + 2 + (2 if qos else 0)
        assert [len(each.payload) for each in link.heard] == [size - head, 5]
        assert (link.ups, link.reasons) == (1, [])
        assert peak_bytes() - before < HUGE / 5
    assert f"{HUGE + head} bytes" in caplog.text
    assert "message_size_limit" in caplog.text


async def test_the_head_of_a_long_message_is_acknowledged_so_that_it_does_not_come_again() -> None:
    answers = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(CONNACK)
        await reader.read(100)
        writer.write(SUBACK + publish("t/1", 300_000) + bytes(300_000))
        answers.append(await reader.read(100))

    async with server(talk) as port, Link(port, protocol="3.1.1", max_packet_bytes=1000) as link:
        await until(lambda: answers)
        assert answers == [b"\x40\x02\x00\x07"]
        assert len(link.heard) == 1


async def test_a_long_message_that_takes_many_keep_alives_does_not_end_the_connection() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(CONNACK)
        await reader.read(100)
        writer.write(SUBACK + publish("t/1", 40 * 100_000))
        for _ in range(40):
            writer.write(bytes(100_000))
            await asyncio.sleep(0.1)
        await reader.read(100)

    async with (
        server(talk) as port,
        Link(port, protocol="3.1.1", max_packet_bytes=1000, keepalive_s=1) as link,
    ):
        await link.hears(1)
        assert link.reasons == []


async def test_a_keep_alive_that_the_broker_sets_holds(tmp_path: Path) -> None:
    pings: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(200)
        writer.write(b"\x20\x06\x00\x00\x03\x13\x00\x01")  # CONNACK, Server Keep Alive 1 s
        await reader.read(200)
        writer.write(b"\x90\x04\x00\x01\x00\x01")
        while data := await reader.read(200):
            if data == b"\xc0\x00":
                pings.append(data)
                writer.write(b"\xd0\x00")

    async with server(talk) as port, Link(port, keepalive_s=60):
        async with Stopwatch() as watch:
            await until(lambda: len(pings) >= 2)
        assert watch.seconds < 3.5


async def test_no_more_is_in_flight_than_the_broker_lets_us() -> None:
    came = bytearray()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(200)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x02")  # CONNACK, Receive Maximum 2
        while data := await reader.read(1000):
            came.extend(data)

    async with server(talk) as port, Link(port, []) as link:
        for _ in range(5):
            link.say("t/1", b"wait", qos=1)
        await until(lambda: came.count(b"wait") == 2)
        await asyncio.sleep(0.2)
        assert came.count(b"wait") == 2


@pytest.mark.parametrize(
    ("setting", "words"),
    [("max_qos 0", "QoS 0 only"), ("retain_available false", "no retained messages")],
)
async def test_a_broker_that_lacks_something_is_used_without_it(
    tmp_path: Path, setting: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with PrivateBroker(tmp_path, ("allow_anonymous true", setting)) as broker:
        will = Outbound("t/status", b"offline", qos=1, retain=True)
        async with Link(broker.port, will=will, wait=False) as link:
            await until(lambda: link.ups)
            link.say("t/1", b"state", qos=1, retain=True)
            link.say("t/2", b"end", qos=1)
            await link.hears(2)
            assert link.payloads == [b"state", b"end"]
            assert link.ups == 1
    assert words in caplog.text


async def test_a_broker_without_wildcards_is_asked_for_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    asked = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(200)
        writer.write(b"\x20\x05\x00\x00\x02\x28\x00")  # CONNACK, Wildcard Subscription Available 0
        asked.append(await reader.read(200))
        writer.write(b"\x90\x04\x00\x01\x00\x01")
        await reader.read(200)

    async with server(talk) as port, Link(port, ["t/plain", "t/+", "t/#"]):
        assert b"t/plain" in asked[0]
        assert b"t/+" not in asked[0]
        assert b"t/#" not in asked[0]
    assert "no wildcards in subscriptions" in caplog.text


def plain(topic: bytes, payload: bytes, *, retain: bool = False, properties: bytes | None = None) -> bytes:
    """Return a PUBLISH packet at QoS 0; of MQTT 3.1.1 without properties."""
    end = b"" if properties is None else remaining(len(properties)) + properties
    body = len(topic).to_bytes(2) + topic + end + payload
    return bytes([0x30 | retain]) + remaining(len(body)) + body


@PROTOCOLS
async def test_a_message_at_qos_0_without_properties_is_heard_as_any_and_made_nothing_of_by_paho(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version5 = protocol == "5"
    theirs: list[bytes] = []
    handle = Client._handle_publish

    def note(client: Client) -> MQTTErrorCode:
        theirs.append(bytes(client._in_packet["packet"]))
        return handle(client)

    monkeypatch.setattr(Client, "_handle_publish", note)
    none = b"" if version5 else None

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(200)
        writer.write(b"\x20\x03\x00\x00\x00" if version5 else CONNACK)
        await reader.read(200)
        writer.write(b"\x90\x04\x00\x01\x00\x01" if version5 else SUBACK)
        writer.write(plain("t/房".encode(), b"one", properties=none))
        writer.write(plain(b"t/2", b"", retain=True, properties=none))
        writer.write(plain(b"t/\xff", b"no UTF-8", properties=none))
        if version5:
            writer.write(plain(b"t/3", b"expires", properties=b"\x02\x00\x00\x00\x3c"))
        writer.write(plain(b"t/4", b"\x00last", properties=none))
        await reader.read(200)

    async with server(talk) as port, Link(port, protocol=protocol, qos=0) as link:
        await until(lambda: b"\x00last" in link.payloads)
        expiring = [Inbound("t/3", b"expires", expiry_s=60)] if version5 else []
        assert link.heard == [
            Inbound("t/房", b"one"),
            Inbound("t/2", b"", retained=True),
            *expiring,
            Inbound("t/4", b"\x00last"),
        ]
        assert len(theirs) == 1 + version5
        assert link.reasons == []
