"""A connection that comes back, against a real Mosquitto."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from edgeassist.sandbox import HOST, PrivateBroker, free_port
from tests.integration.link import Link, until
from tests.patience import Stopwatch

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])

MORTAL = """
import asyncio, sys
from edgeassist.broker import Broker, BrokerOptions
from edgeassist.protocol.packets import Outbound

async def main():
    will = Outbound("t/will", b"gone", 1, True)
    options = BrokerOptions("127.0.0.1", int(sys.argv[1]), "mortal", protocol=sys.argv[2], will=will)
    up = asyncio.Event()
    broker = Broker(options, on_up=up.set)
    broker.start()
    await up.wait()
    print("up", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await broker.stop()

asyncio.run(main())
"""


@pytest.fixture
def mortal(broker: PrivateBroker, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is connected, and disconnects at a line on its standard input."""
    command = [sys.executable, "-c", MORTAL, str(broker.port), request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


@PROTOCOLS
async def test_messages_go_both_ways_with_topic_payload_and_retain(
    broker: PrivateBroker, protocol: str
) -> None:
    async with Link(broker.port, protocol=protocol) as here, Link(broker.port, protocol=protocol) as there:
        here.say("t/ünï/话题", "你好".encode(), qos=1)
        here.say("t/empty")
        here.say("t/kept", bytes(range(256)), qos=1, retain=True)
        await there.hears(3)
        assert [(m.topic, m.payload, m.retained) for m in there.heard] == [
            ("t/ünï/话题", "你好".encode(), False),
            ("t/empty", b"", False),
            ("t/kept", bytes(range(256)), False),
        ]
    async with Link(broker.port, protocol=protocol) as late:
        await late.hears(1)
        assert (late.heard[0].topic, late.heard[0].retained) == ("t/kept", True)


async def test_version_5_carries_correlation_data_back_byte_for_byte(broker: PrivateBroker) -> None:
    async with Link(broker.port) as link:
        link.say("t/1", b"x", correlation=bytes(range(256)))
        link.say("t/2", b"x", qos=1, correlation=b"")
        link.say("t/3", b"x")
        await link.hears(3)
        assert [message.correlation for message in link.heard] == [bytes(range(256)), b"", None]


async def test_version_5_tells_response_topic_and_expiry_of_a_message(broker: PrivateBroker) -> None:
    async with Link(broker.port) as link:
        command = (
            *("mosquitto_pub", "-V", "5", "-h", HOST, "-p", str(broker.port), "-t", "t/x", "-m", "hi"),
            *("-D", "publish", "response-topic", "a/b", "-D", "publish", "message-expiry-interval", "60"),
        )
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=10)
        await link.hears(1)
        assert link.heard[0].response_topic == "a/b"
        assert 55 <= (link.heard[0].expiry_s or 0) <= 60


async def test_version_3_1_1_leaves_correlation_data_out(broker: PrivateBroker) -> None:
    async with Link(broker.port, protocol="3.1.1") as old, Link(broker.port) as new:
        assert old.say("t/1", b"x", qos=1, correlation=b"secret")
        await new.hears(1)
        assert new.heard[0].correlation is None
        new.say("t/2", b"y", correlation=b"k")
        await old.hears(2)
        assert (old.heard[1].payload, old.heard[1].correlation) == (b"y", None)


@PROTOCOLS
async def test_subscriptions_are_made_anew_when_the_broker_comes_back(
    broker: PrivateBroker, protocol: str
) -> None:
    async with Link(broker.port, ["t/a", "t/b/+"], protocol=protocol) as link:
        broker.stop()
        await link.fails()
        assert not link.broker.connected
        broker.start()
        await until(lambda: link.ups == 2)
        link.say("t/a", b"1", qos=1)
        link.say("t/b/c", b"2", qos=1)
        await link.hears(2)
        assert sorted(link.payloads) == [b"1", b"2"]
        assert link.broker.connects == 2


@PROTOCOLS
async def test_what_was_published_at_qos_1_meanwhile_arrives_in_order_as_far_as_the_queue_holds_it(
    broker: PrivateBroker, protocol: str
) -> None:
    async with Link(broker.port, protocol=protocol, queue=50) as link:
        broker.stop()
        await link.fails()
        taken = [link.say("t/1", b"%d" % number, qos=1) for number in range(60)]
        assert taken == [True] * 50 + [False] * 10
        assert link.broker.dropped == 10
        broker.start()
        await link.hears(50)
        link.say("t/1", b"last", qos=1)
        await link.hears(51)
        assert link.payloads == [*(b"%d" % number for number in range(50)), b"last"]


@PROTOCOLS
async def test_what_was_published_at_qos_0_meanwhile_is_dropped_and_counted(
    broker: PrivateBroker, protocol: str
) -> None:
    async with Link(broker.port, protocol=protocol) as link:
        broker.stop()
        await link.fails()
        assert [link.say("t/1", b"lost") for _ in range(7)] == [False] * 7
        assert link.broker.dropped == 7
        broker.start()
        await until(lambda: link.ups == 2)
        assert link.say("t/1", b"kept")
        await link.hears(1)
        assert link.payloads == [b"kept"]
        assert link.broker.dropped == 7


async def test_attempts_are_jittered_and_become_rarer() -> None:
    at: list[tuple[float, float]] = []
    async with Link(free_port(), wait=False, reconnect_max_s=60.0) as link, Stopwatch() as watch:
        link.broker._on_down = lambda _reason: at.append((time.monotonic(), watch.seconds))
        await until(lambda: len(at) >= 3)
    for number, (before, after) in enumerate(pairwise(at)):
        assert after[0] - before[0] >= 0.5 * 2**number
        assert after[1] - before[1] <= 2**number + 0.4


async def test_a_stop_between_two_attempts_does_not_wait_for_the_next() -> None:
    async with Link(free_port(), wait=False, reconnect_max_s=60.0) as link:
        await until(lambda: len(link.reasons) >= 2)
        tries = len(link.reasons)
        await link.broker.stop()
        assert len(link.reasons) == tries
        assert not link.broker.alive


@pytest.mark.parametrize("mortal", ["5", "3.1.1"], indirect=True)
async def test_the_will_is_published_when_the_process_is_killed(
    broker: PrivateBroker, mortal: subprocess.Popen[bytes]
) -> None:
    async with Link(broker.port) as link:
        os.kill(mortal.pid, signal.SIGKILL)
        await link.hears(1)
        assert (link.heard[0].topic, link.heard[0].payload) == ("t/will", b"gone")
    async with Link(broker.port) as late:
        await late.hears(1)
        assert late.heard[0].retained


@pytest.mark.parametrize("mortal", ["5", "3.1.1"], indirect=True)
async def test_the_will_is_not_published_when_the_connection_is_stopped(
    broker: PrivateBroker, mortal: subprocess.Popen[bytes]
) -> None:
    async with Link(broker.port) as link:
        mortal.communicate(b"\n", timeout=10)
        assert mortal.returncode == 0
        link.say("t/after", b"after", qos=1)
        await link.hears(1)
        await asyncio.sleep(0.2)
        assert link.payloads == [b"after"]


async def test_a_connection_that_breaks_without_a_word_is_made_again(broker: PrivateBroker) -> None:
    async with Link(broker.port) as link:
        connection = link.broker._client.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        await until(lambda: link.ups == 2)
        assert "lost" in link.reason
        link.say("t/1", b"back", qos=1)
        await link.hears(1)


async def test_stopping_twice_is_harmless(broker: PrivateBroker) -> None:
    async with Link(broker.port) as link:
        await link.broker.stop()
        await link.broker.stop()
        assert not link.broker.connected
        assert not link.broker.alive
        assert not link.say("t/1", b"too late")
