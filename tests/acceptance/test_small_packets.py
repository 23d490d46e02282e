"""A broker that takes short messages only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import PrivateBroker
from tests.conftest import AsyncConnect, StartDaemon
from tests.integration.link import until

# Longer than `info`, so that it is known to be too long once that is.
LONG = {"id": "long", "prompt": "!script repeat=800\nHello", "max_tokens": 900, "stream": False}


@pytest.fixture
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PrivateBroker]:
    with PrivateBroker(tmp_path, ("allow_anonymous true", request.param)) as running:
        yield running


@pytest.mark.parametrize(
    ("broker", "settings", "losses"),
    [
        ("max_packet_size 1000", {"mqtt__protocol": "5"}, 0),
        ("message_size_limit 1000", {"mqtt__protocol": "5"}, 0),
        # Two documents are larger, `info` and `health`: each once among others, and twice alone.
        ("max_packet_size 1000", {"mqtt__protocol": "3.1.1"}, 2 * 3),
        ("message_size_limit 1000", {"mqtt__protocol": "3.1.1", "mqtt__packet_bytes": 1000}, 0),
    ],
    indirect=["broker"],
)
async def test_answers_end_and_state_is_seen_and_nobody_is_disconnected_for_ever(
    broker: PrivateBroker, daemon: StartDaemon, connect: AsyncConnect, settings: dict[str, Any], losses: int
) -> None:
    process = daemon(**settings)
    wire = await connect.wire("edgeassist/#")
    await wire.until(lambda m: m.topic.endswith("/health") and b'"ready"' in m.payload)
    info = await wire.until(lambda m: m.topic.endswith("/info") and b'"cut":true' in m.payload)
    assert json.loads(info.payload)["device"] == "box"
    wire.say("edgeassist/box/prompt", json.dumps(LONG), qos=1)
    assert (await wire.answer())["code"] == "too_large"
    wire.say("edgeassist/box/prompt", json.dumps({"id": "short", "prompt": "hi"}), qos=1)
    await wire.until(lambda m: m.topic.endswith("/reply/short") and b'"done"' in m.payload)
    wire.say("edgeassist/box/command/info", b"")
    response = await wire.until(lambda m: m.topic.endswith("/response/info"))
    assert json.loads(response.payload)["error"]["code"] == "too_large"
    await asyncio.sleep(1)
    log = process.log.read_text()
    assert log.count("connected to the broker") <= 1 + losses, log
    assert "client with the id" not in log


@pytest.mark.parametrize("broker", ["max_packet_size 1000"], indirect=True)
async def test_others_answers_are_whole_while_the_limit_is_found_out(
    broker: PrivateBroker, daemon: StartDaemon, connect: AsyncConnect
) -> None:
    daemon(mqtt__protocol="3.1.1", admission__per_client=16)
    wire = await connect.wire("edgeassist/#")
    await wire.until(lambda m: m.topic.endswith("/health") and b'"ready"' in m.payload)
    wire.say("edgeassist/box/prompt", json.dumps(LONG), qos=1)
    for number in range(8):
        wire.say("edgeassist/box/prompt", json.dumps({"id": f"o{number}", "prompt": "hi"}), qos=1)
    ends = {f"edgeassist/box/reply/o{number}" for number in range(8)}
    await until(lambda: ends <= {m.topic for m in wire.heard if b'"done"' in m.payload})
    await wire.until(lambda m: m.topic.endswith("/reply/long") and b"too_large" in m.payload)


@pytest.mark.parametrize(
    ("broker", "protocol"),
    [("max_packet_size 1000", "5"), ("max_packet_size 1000", "3.1.1"), ("message_size_limit 1000", "5")],
    indirect=["broker"],
)
@pytest.mark.parametrize(
    "fields", [{}, {"stream": False}, {"max_tokens": -1}, {"max_tokens": 0.5, "format": "text"}]
)
async def test_every_request_ends_whose_metadata_the_broker_does_not_bring_back(
    broker: PrivateBroker, daemon: StartDaemon, connect: AsyncConnect, protocol: str, fields: dict[str, Any]
) -> None:
    daemon(mqtt__protocol=protocol)
    wire = await connect.wire("edgeassist/#")
    await wire.until(lambda m: m.topic.endswith("/health") and b'"ready"' in m.payload)
    asked = {"id": "m", "prompt": "hi", "metadata": {"n": "x" * 780}, **fields}
    wire.say("edgeassist/box/prompt", json.dumps(asked), qos=1)
    await until(lambda: [m for m in wire.heard if "/reply/m" in m.topic and _ends(m.payload)])


def _ends(payload: bytes) -> bool:
    return b'"type":"done"' in payload or b'"type":"error"' in payload
