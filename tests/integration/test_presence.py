"""That the device is there is said, and stays said, whatever somebody else makes of its status."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from edgeassist.client import Client
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.protocol.state import Availability
from edgeassist.sandbox import PrivateBroker
from tests.conftest import READY_S, TOPICS, AsyncConnect, StartReady, Wire
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
@pytest.mark.parametrize("payload", [b"offline", b"", b"gone"], ids=["late will", "cleared", "unknown"])
async def test_a_status_that_is_wrong_is_said_again(
    ready: StartReady, connect: AsyncConnect, protocol: str, payload: bytes
) -> None:
    await ready(daemon__telemetry_s=3600, mqtt__protocol=protocol)
    wire = await connect.wire(TOPICS.status)
    await says_online_after(wire, payload)
    late = await connect.wire(TOPICS.status)
    assert (await late.until(lambda message: message.retained)).payload == b"online"


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
