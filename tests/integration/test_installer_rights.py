"""What the installer's access control list lets clients do, at a real Mosquitto."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.client import Client, choice
from edgeassist.fleet.envelope import Envelope
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.topics import fleet_topics
from edgeassist.sandbox import HOST, PrivateBroker
from tests.conftest import TOPICS, StartDaemon, Wire
from tests.patience import PATIENCE_S

LIBRARY = Path(__file__).parents[2] / "scripts" / "lib" / "mosquitto.sh"
QUESTIONS = {"room": choice("Where is it?", ["bath", "kitchen"])}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    """One with the list, that takes any user at his word."""
    script = f"daemon_account=edgeassist; . {LIBRARY}; broker_acl_text"
    rights = tmp_path / "rights"
    rights.write_text(
        subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=True).stdout
    )
    with PrivateBroker(tmp_path, ("allow_anonymous true", f"acl_file {rights}")) as running:
        yield running


async def test_a_client_may_have_decided_on_its_own_topic_and_on_no_other(
    broker: PrivateBroker, daemon: StartDaemon
) -> None:
    daemon(mqtt__username="edgeassist")
    with Client(HOST, broker.port, device="box", username="esp32") as client:
        client.wait_ready(PATIENCE_S)
        assert client.decide("in the kitchen", QUESTIONS)["room"].choice == "kitchen"
    async with (
        Wire(broker.port, ("edgeassist/box/reply/#",), username="edgeassist") as spy,
        Wire(broker.port, (), username="other") as other,
    ):
        for topic, name in (
            (TOPICS.decide(), "a"),
            (TOPICS.decide("esp32"), "b"),
            (TOPICS.decide("other"), "c"),
        ):
            other.say(topic, json.dumps({"id": name, "state": "s", "questions": QUESTIONS}))
        assert (await spy.answer())["id"] == "c"


async def test_a_client_asks_a_fleet_on_its_own_topic_and_can_t_speak_as_a_box(
    broker: PrivateBroker, daemon: StartDaemon
) -> None:
    daemon(mqtt__username="edgeassist", fleet__group="home")
    fleet = fleet_topics("edgeassist", "home")
    filters = (f"{fleet.root}/reply/#", fleet.box("+"), fleet.hand("+"))
    async with (
        Wire(broker.port, filters, username="edgeassist") as spy,
        Wire(broker.port, (fleet.reply("+", "other"), fleet.box("+")), username="other") as other,
    ):
        online = await other.until(lambda message: b'"online"' in message.payload)
        inner = Inbound(fleet.prompt("esp32"), b'{"id": "a", "prompt": "x"}')
        other.say(fleet.hand("box"), Envelope("box", inner, 1).encode(), qos=1)
        other.say(fleet.box("box"), online.payload.replace(b"online", b"offline"), qos=1)
        other.say(fleet.prompt(), '{"id": "b", "prompt": "x"}', qos=1)
        other.say(fleet.prompt("esp32"), '{"id": "c", "prompt": "x"}', qos=1)
        other.say(fleet.prompt("other"), '{"id": "d", "prompt": "x"}', qos=1)
        assert (await other.answer())["id"] == "d"
        assert {message.topic for message in spy.heard} <= {fleet.reply("d", "other"), fleet.box("box")}
        assert not any(b'"offline"' in message.payload for message in spy.heard)
