"""What waited while the broker was away, and what was missed meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from edgeassist.client.answers import AnyEvent
from edgeassist.client.requester import Requester
from edgeassist.errors import Code
from edgeassist.protocol.events import Done
from edgeassist.sandbox import PrivateBroker
from tests.conftest import TOPICS, AsyncConnect, StartReady, expect_failed, kind
from tests.integration.link import until

BURST = 21


async def test_all_of_a_burst_after_a_broker_restart_are_answered_if_they_do_as_a_refusal_says(
    ready: StartReady, connect: AsyncConnect, broker: PrivateBroker
) -> None:
    _, near = await ready(daemon__telemetry_s=1)
    client = await connect()
    broker.stop()
    await until(lambda: not client.connected)
    slow = "!script delay_ms=20\nabcd efgh"
    patient = [asyncio.ensure_future(_end(client.ask(slow, busy_s=60))) for _ in range(BURST)]
    await asyncio.sleep(0)
    broker.start()
    assert all([isinstance(await each, Done) for each in patient])
    await until(lambda: _telemetry(near).get("done") == BURST)
    assert _telemetry(near)["errors"]["quota_exceeded"] >= BURST - 16


async def _end(events: AsyncGenerator[AnyEvent]) -> AnyEvent:
    return [event async for event in events][-1]


def _telemetry(client: Requester) -> dict[str, Any]:
    return dict(json.loads(client._retained.get(TOPICS.telemetry, b"{}")))


async def test_one_who_does_not_wait_is_told_when_to_ask_again(
    ready: StartReady, connect: AsyncConnect
) -> None:
    await ready(engine__slots=1, admission__per_client=1)
    client = await connect()
    first = asyncio.ensure_future(client.answer("!script repeat=100 delay_ms=50\nabcd"))
    await asyncio.sleep(0)
    refused = expect_failed(await client.answer("other"))
    assert (refused.code, bool(refused.retry_after_ms)) == (Code.QUOTA_EXCEEDED, True)
    first.cancel()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_an_end_that_a_clean_session_missed_is_sent_again_for_the_same_bytes(
    ready: StartReady, connect: AsyncConnect, broker: PrivateBroker, protocol: str
) -> None:
    await ready(daemon__telemetry_s=1)
    prompt = json.dumps(
        {"id": "once", "prompt": "!script delay_ms=40\nabcd efgh ijkl", "reply_to": "reply/k"}
    )
    first = await connect.wire("reply/k", protocol=protocol)
    first.say(TOPICS.prompt("k"), prompt, qos=1)
    await first.until(lambda message: kind(message) == "chunk")
    await first.broker.stop()
    broker.stop()
    broker.start()
    near = await connect()
    await until(lambda: _telemetry(near).get("done") == 1)
    again = await connect.wire("reply/k", protocol=protocol)
    await asyncio.sleep(0.5)
    assert not again.heard
    again.say(TOPICS.prompt("k"), prompt, qos=1)
    assert (await again.answer())["text"] == "abcd efgh ijkl"
    assert [kind(message) for message in again.heard] == ["done"]
