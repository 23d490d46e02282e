"""More than a connection can carry, and a broker that is silent or refuses what it is sent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from edgeassist.sandbox import HOST, PrivateBroker
from tests.integration.link import Link, until
from tests.patience import PATIENCE_S, Stopwatch

MEGABYTE = bytes(1_000_000)
# Messages that one turn of the event loop may read.
AT_ONCE = 10


@pytest.fixture
def frozen(broker: PrivateBroker) -> Iterator[PrivateBroker]:
    """A broker that a test may send SIGSTOP; it is woken in the end, so that it can stop."""
    yield broker
    os.kill(broker.pid, signal.SIGCONT)


def tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "mqtt"]


def congested(link: Link) -> bool:
    # A function: mypy takes what it knows of an attribute for lasting.
    return link.broker.congested


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_5000_messages_from_the_event_loop_arrive_complete_and_in_order(
    tmp_path: Path, protocol: str, qos: int
) -> None:
    # Mosquitto itself would drop what waits for a subscriber beyond 1,000 messages.
    with PrivateBroker(tmp_path, ("allow_anonymous true", "max_queued_messages 0")) as broker:
        there = Link(broker.port, ["t/in"], protocol=protocol, qos=qos)
        async with there, Link(broker.port, [], protocol=protocol, queue=5000) as here:
            for number in range(5000):
                assert here.say("t/in", b"%d" % number, qos=qos)
                if number % 100 == 0:
                    await asyncio.sleep(0)
            assert await here.broker.flush(20)
            await there.hears(5000)
            assert there.payloads == [b"%d" % number for number in range(5000)]
            assert here.broker.dropped == 0


async def test_a_message_larger_than_a_socket_buffer_arrives_whole_between_small_ones(
    broker: PrivateBroker,
) -> None:
    large = os.urandom(3_000_000)
    async with Link(broker.port, max_packet_bytes=1 << 23) as link:
        for payload in (b"before", large, b"after"):
            assert link.say("t/1", payload)
        await link.hears(3)
        assert link.payloads == [b"before", large, b"after"]


async def test_messages_beyond_our_packet_size_are_not_sent_to_us(broker: PrivateBroker) -> None:
    async with Link(broker.port, max_packet_bytes=1000) as link, Link(broker.port, []) as other:
        other.say("t/1", bytes(2000), qos=1)
        other.say("t/1", b"small", qos=1)
        await link.hears(1)
        assert link.payloads == [b"small"]
        assert link.reasons == []


def flood(port: int, count: int) -> None:
    """Publish `count` messages from another process while this one's event loop stands still."""
    command = ("mosquitto_pub", "-h", HOST, "-p", str(port), "-q", "1", "-t", "t/1", "-l")
    lines = "".join(f"{number}\n" for number in range(count))
    subprocess.run(command, input=lines.encode(), check=True, timeout=PATIENCE_S)
    time.sleep(0.3)


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_flood_waits_outside_while_the_daemon_is_busy_and_nothing_is_lost(
    broker: PrivateBroker, qos: int
) -> None:
    async with Link(broker.port, qos=qos) as link:
        flood(broker.port, 500)
        assert link.heard == []
        await asyncio.sleep(0)
        assert len(link.heard) <= AT_ONCE
        await link.hears(500)
        assert link.payloads == [b"%d" % number for number in range(500)]
        assert link.reasons == []


async def test_a_flood_leaves_the_event_loop_time_for_others(broker: PrivateBroker) -> None:
    turns = []

    async def turn() -> None:
        while True:
            turns.append(len(link.heard))
            await asyncio.sleep(0)

    async with Link(broker.port) as link:
        flood(broker.port, 500)
        other = asyncio.create_task(turn())
        await link.hears(500)
        other.cancel()
        assert max(later - earlier for earlier, later in pairwise(turns)) <= AT_ONCE


async def test_a_broker_that_takes_nothing_congests_and_one_that_takes_it_again_clears(
    frozen: PrivateBroker,
) -> None:
    async with Link(frozen.port, queue=100) as link:
        assert not congested(link)
        os.kill(frozen.pid, signal.SIGSTOP)
        for _ in range(12):
            link.say("t/1", MEGABYTE)
        await until(lambda: congested(link))
        async with Stopwatch() as watch:
            begun = time.monotonic()
            assert not await link.broker.flush(0.3)
            assert time.monotonic() - begun > 0.25
        assert watch.seconds < 1
        os.kill(frozen.pid, signal.SIGCONT)
        await until(lambda: not congested(link))
        assert await link.broker.flush(PATIENCE_S)
        await link.hears(12)


async def test_a_lost_connection_leaves_no_congestion_behind(frozen: PrivateBroker) -> None:
    async with Link(frozen.port) as link:
        os.kill(frozen.pid, signal.SIGSTOP)
        for _ in range(12):
            link.say("t/1", MEGABYTE)
        assert congested(link)
        os.kill(frozen.pid, signal.SIGKILL)
        await link.fails()
        frozen.stop()
        frozen.start()
        await until(lambda: link.ups == 2)
        assert not congested(link)
        assert await link.broker.flush(PATIENCE_S)


async def test_a_broker_that_falls_silent_is_noticed_within_two_keep_alives(frozen: PrivateBroker) -> None:
    async with Link(frozen.port, keepalive_s=1) as link:
        os.kill(frozen.pid, signal.SIGSTOP)
        async with Stopwatch() as watch:
            await link.fails()
        assert watch.seconds < 4
        os.kill(frozen.pid, signal.SIGCONT)
        await until(lambda: link.ups == 2)


async def test_stop_ends_the_task_although_the_broker_is_silent(frozen: PrivateBroker) -> None:
    async with Link(frozen.port) as link:
        os.kill(frozen.pid, signal.SIGSTOP)
        async with Stopwatch() as watch:
            await link.broker.stop(2)
        assert watch.seconds < 2
        assert not link.broker.alive


async def test_stop_keeps_its_limit_although_the_broker_takes_nothing(frozen: PrivateBroker) -> None:
    async with Link(frozen.port) as link:
        os.kill(frozen.pid, signal.SIGSTOP)
        for _ in range(12):
            link.say("t/1", MEGABYTE)
        await asyncio.sleep(0.2)
        async with Stopwatch() as watch:
            await link.broker.stop(0.5)
        assert watch.seconds < 1.5
        assert not link.broker.connected
        assert not link.broker.alive
        assert not link.say("t/1", b"too late", qos=1)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_task_is_named_and_gone_after_stop(broker: PrivateBroker, protocol: str) -> None:
    assert tasks() == []
    async with Link(broker.port, protocol=protocol):
        assert len(tasks()) == 1
    assert tasks() == []


async def test_flush_waits_for_what_was_queued_while_the_broker_was_away(broker: PrivateBroker) -> None:
    async with Link(broker.port) as link:
        broker.stop()
        await link.fails()
        link.say("t/1", b"queued", qos=1)
        assert not await link.broker.flush(0.2)


@pytest.mark.parametrize(
    ("protocol", "limit"),
    [
        ("5", "max_packet_size"),
        ("3.1.1", "max_packet_size"),
        ("5", "message_size_limit"),
    ],
)
async def test_a_message_that_the_broker_refuses_for_its_size_is_given_up(
    tmp_path: Path, protocol: str, limit: str
) -> None:
    with PrivateBroker(tmp_path, ("allow_anonymous true", f"{limit} 1000")) as broker:
        async with Link(broker.port, protocol=protocol) as link:
            link.say("t/1", bytes(3000), qos=1)
            async with asyncio.timeout(PATIENCE_S):
                while b"small" not in link.payloads:
                    link.say("t/1", b"small")
                    await asyncio.sleep(0.05)
            ups = link.ups
            await asyncio.sleep(0.4)
            assert link.ups == ups <= 8


async def test_what_was_given_up_neither_congests_nor_keeps_flush_waiting(tmp_path: Path) -> None:
    with PrivateBroker(tmp_path, ("allow_anonymous true", "message_size_limit 300000")) as broker:
        async with Link(broker.port) as link:
            link.say("t/1", bytes(400_000), qos=1)
            async with asyncio.timeout(PATIENCE_S):
                while b"small" not in link.payloads:
                    link.say("t/1", b"small")
                    await asyncio.sleep(0.05)
            assert not link.broker.congested
            assert await link.broker.flush(PATIENCE_S)


async def test_long_correlation_data_counts_where_the_broker_limits_a_packet(tmp_path: Path) -> None:
    with PrivateBroker(tmp_path, ("allow_anonymous true", "max_packet_size 3000")) as broker:
        async with Link(broker.port) as link:
            link.say("t/1", bytes(1500), qos=1, correlation=bytes(2000))
            link.say("t/1", b"small", qos=1)
            await link.hears(1)
            assert link.payloads == [b"small"]
            assert link.reasons == []


async def test_a_broker_that_sends_what_is_no_packet_is_left_and_connected_to_again() -> None:
    connections = []

    async def stray(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read(1000)
        writer.write(b"\x20\x03\x00\x00\x00" + b"\x30\x01\x00")  # CONNACK, and a PUBLISH that has no topic

    server = await asyncio.start_server(stray, HOST, 0)
    async with server, Link(server.sockets[0].getsockname()[1], [], wait=False) as link:
        await link.fails()
        await until(lambda: len(connections) >= 2)
        assert link.broker.alive
    for writer in connections:
        writer.close()


async def test_what_paho_stumbles_over_ends_the_connection_and_another_is_made(
    broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble() -> None:
        monkeypatch.undo()
        raise LookupError("a defect of paho's")

    async with Link(broker.port) as link:
        monkeypatch.setattr(link.broker._client, "loop_read", stumble)
        link.say("t/1", b"lost")
        assert (await link.fails()).startswith("unexpected: a defect of paho's")
        await until(lambda: link.ups == 2)
        link.say("t/1", b"back", qos=1)
        await until(lambda: b"back" in link.payloads)
    assert "failed in an unexpected way" in caplog.text
