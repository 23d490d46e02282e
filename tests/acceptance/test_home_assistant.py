"""What Home Assistant sees of a device, on a real broker; it is played by a client that speaks as it does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edgeassist.sandbox import PrivateBroker
from tests.conftest import AsyncConnect, StartDaemon, StartReady, Wire

CONFIG = "homeassistant/device/edgeassist__box/config"
MARKER = "edgeassist/box/discovery"
STATUS = "edgeassist/box/status"
HEALTH = "edgeassist/box/health"
TELEMETRY = "edgeassist/box/telemetry"
BIRTH = "homeassistant/status"


class Home:
    """Home Assistant's part of the conversation."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def heard(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.wire.heard if message.topic == topic]

    async def hears(self, topic: str, payload: bytes | None = None, times: int = 1) -> None:
        """Wait until that was said on the topic so often; None stands for anything but nothing."""

        def count() -> int:
            return sum(each == payload if payload is not None else bool(each) for each in self.heard(topic))

        await self.wire.until(lambda _message: count() >= times)

    async def components(self) -> dict[str, Any]:
        await self.hears(CONFIG)
        return dict(json.loads(self.heard(CONFIG)[-1])["cmps"])

    def born(self) -> None:
        self.wire.heard.clear()
        self.wire.say(BIRTH, "online")

    def sets_text(self, component: dict[str, Any], value: str) -> None:
        template = ImmutableSandboxedEnvironment().from_string(component["cmd_tpl"])
        self.wire.say(component["cmd_t"], template.render(value=value))

    async def event(self, component: dict[str, Any]) -> dict[str, Any]:
        message = await self.wire.until(lambda message: message.topic == component["stat_t"])
        assert not message.retained
        return dict(json.loads(message.payload))


@pytest.fixture
async def home(connect: AsyncConnect) -> Home:
    """Listens to all that is said."""
    return Home(await connect.wire("#"))


async def kept(connect: AsyncConnect, *topics: str) -> dict[str, bytes]:
    """Return what the broker keeps on these topics."""
    wire = await connect.wire(*topics, "end")
    wire.say("end", "end")
    await wire.until(lambda message: message.topic == "end")
    return {message.topic: message.payload for message in wire.heard if message.retained}


async def test_a_device_writes_nothing_outside_of_its_root_unless_it_is_told_to(
    ready: StartReady, home: Home
) -> None:
    _, client = await ready()
    home.wire.say(BIRTH, "online")
    await client.command("ping")
    theirs = {message.topic for message in home.wire.heard} - {BIRTH}
    assert {STATUS, HEALTH, TELEMETRY} <= theirs
    assert all(topic.startswith("edgeassist/box/") for topic in theirs)
    assert MARKER not in theirs


async def test_a_connect_and_a_birth_bring_discovery_then_availability_then_states_and_all_again(
    daemon: StartDaemon, home: Home
) -> None:
    daemon(homeassistant__discovery=True)
    for again in (False, True):
        if again:
            home.born()
        await home.hears(CONFIG, times=2)
        await home.hears(TELEMETRY, times=2)
        order = [message.topic for message in home.wire.heard]
        begins = [number for number, topic in enumerate(order) if topic == CONFIG]
        assert len(begins) == 2
        for said in (order[number:] for number in begins):
            assert said.index(STATUS) < said.index(HEALTH) < said.index(TELEMETRY)


async def test_a_broker_that_lost_all_is_told_anew(
    daemon: StartDaemon, home: Home, broker: PrivateBroker
) -> None:
    daemon(homeassistant__discovery=True)
    await home.hears(CONFIG, times=2)
    broker.stop()
    home.wire.heard.clear()
    broker.start()
    for topic in (CONFIG, MARKER, HEALTH, TELEMETRY):
        await home.hears(topic)
    await home.hears(STATUS, b"online")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_question_is_answered_with_an_event_and_a_button_cancels_on_both_protocols(
    daemon: StartDaemon, connect: AsyncConnect, protocol: str
) -> None:
    found = "homeassistant/device/home__ai__box/config"
    home = Home(await connect.wire("#", protocol=protocol))
    daemon(homeassistant__discovery=True, mqtt__protocol=protocol, mqtt__base="home/ai")
    await home.hears(found)
    entities = json.loads(home.heard(found)[-1])["cmps"]

    home.sets_text(entities["ask"], '{"Why" is it "so"? 为什么')
    event = await home.event(entities["answer"])
    assert (event["event_type"], event["model"]) == ("answered", "scripted")
    assert event["question"] == event["text"] == '{"Why" is it "so"? 为什么'

    home.wire.heard.clear()
    home.sets_text(entities["ask"], "!script repeat=400 delay_ms=20\nslowly ")
    await home.wire.until(lambda m: m.topic == "home/ai/box/health" and json.loads(m.payload)["running"] == 1)
    home.wire.say(entities["cancel"]["cmd_t"], entities["cancel"]["pl_prs"])
    event = await home.event(entities["answer"])
    assert (event["event_type"], event["code"]) == ("failed", "cancelled")
    assert event["question"].endswith("slowly ")


async def test_a_prompt_that_is_refused_is_an_event_too(ready: StartReady, home: Home) -> None:
    await ready(homeassistant__discovery=True)
    entities = await home.components()
    home.wire.say(entities["ask"]["cmd_t"], '{"prompt": 5}')
    event = await home.event(entities["answer"])
    assert (event["event_type"], event["code"]) == ("failed", "invalid_request")


async def test_a_daemon_that_starts_with_the_setting_off_withdraws_what_stood_there(
    daemon: StartDaemon, home: Home, connect: AsyncConnect
) -> None:
    process = daemon(homeassistant__discovery=True)
    await home.hears(CONFIG, times=2)
    process.stop()
    assert set(await kept(connect, CONFIG, MARKER)) == {CONFIG, MARKER}
    daemon()
    await home.hears(CONFIG, b"")
    await home.hears(MARKER, b"")
    assert await kept(connect, CONFIG, MARKER) == {}


async def test_another_prefix_withdraws_what_stood_below_the_old_one(
    daemon: StartDaemon, home: Home, connect: AsyncConnect
) -> None:
    process = daemon(homeassistant__discovery=True)
    await home.hears(CONFIG)
    process.stop()
    daemon(homeassistant__discovery=True, homeassistant__prefix="ha")
    await home.hears(CONFIG, b"")
    there = "ha/device/edgeassist__box/config"
    await home.hears(there)
    held = await kept(connect, CONFIG, there, MARKER)
    assert set(held) == {there, MARKER}
    assert held[MARKER] == there.encode()


async def test_a_reload_switches_it_on_and_off(ready: StartReady, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "edgeassist.toml"
    file.write_text("")
    _, client = await ready(config=file)
    file.write_text("[homeassistant]\ndiscovery = true\n")
    response = await client.command("reload")
    assert response.data == {"applied": ["homeassistant.discovery"], "restart_needed": []}
    await home.hears(CONFIG, times=2)
    home.born()
    await home.hears(CONFIG, times=2)
    file.write_text("")
    await client.command("reload")
    await home.hears(CONFIG, b"")
    await home.hears(MARKER, b"")
    home.born()
    await client.command("ping")
    assert home.heard(CONFIG) == []


async def test_a_stop_right_after_the_start_has_the_last_word(daemon: StartDaemon, home: Home) -> None:
    process = daemon(homeassistant__discovery=True)
    await home.hears(CONFIG)
    await asyncio.to_thread(process.stop)
    await home.hears(STATUS, b"offline")
    assert home.heard(STATUS)[-1] == b"offline"
