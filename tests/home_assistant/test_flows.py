"""A box is found or added by hand, moved and taken away, in a real Home Assistant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import AsyncConnect, StartReady, Wire
from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import Version, tried

pytestmark = pytest.mark.timeout(1500)

AGENT = "conversation.edgeassist"
BY_HAND = {"base": "edgeassist", "device": "box", "client": "ha-test"}


@pytest.fixture(scope="module", params=tried(Version.NEWEST, Version.OLDEST))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


@pytest.fixture(autouse=True)
async def _alone(house: Driver) -> AsyncIterator[None]:
    yield
    for entry in await house.entries("edgeassist"):
        await house.remove(entry["entry_id"])


async def retain(wire: Wire, device: str, status: str, **info: object) -> None:
    """Say of a device what one would, and wait until the broker has it."""
    document = {"version": "0.1.0", "protocol": 1, "device": device, "model": None, **info}
    for name, payload in (("info", json.dumps(document)), ("status", status)):
        wire.say(f"edgeassist/{device}/{name}", payload, qos=1, retain=True)
    await wire.until(lambda m: m.topic == f"edgeassist/{device}/status" and m.payload == status.encode())


async def forget(wire: Wire, *devices: str) -> None:
    """Take back what `retain` has said, and wait until the broker has."""
    for device in devices:
        for name in ("info", "status"):
            wire.say(f"edgeassist/{device}/{name}", b"", qos=1, retain=True)
    # It does in the order of what is said.
    await wire.until(lambda m: m.topic == f"edgeassist/{devices[-1]}/status" and not m.payload)


async def test_a_box_is_found_and_its_agent_belongs_to_its_device(house: Driver, ready: StartReady) -> None:
    await ready(homeassistant__discovery=True)
    flow = await house.discovered(
        "edgeassist", lambda flow: flow["context"]["title_placeholders"]["name"] == "box"
    )
    assert flow["step_id"] == "discovery_confirm"
    made = await house.submit(flow)
    assert (made["type"], made["title"]) == ("create_entry", "box")
    [entry] = await house.entries("edgeassist")
    kinds = {each["subentry_type"] for each in await house.subentries(entry["entry_id"])}
    assert kinds == {"conversation", "ai_task_data"}
    assert entry["supports_reconfigure"]
    await house.shows(AGENT, lambda state: state and state["state"] != "unavailable")
    assert (await house.say("Hello", AGENT)).kind != "error"
    async with house.subscribe("subscribe_events", event_type="device_registry_updated") as events:
        while True:
            devices = await house.command("config/device_registry/list")
            [box] = [each for each in devices if each["identifiers"] == [["mqtt", "edgeassist__box"]]]
            ours = [each for each in devices if each["identifiers"][0][0] == "edgeassist"]
            if {each["via_device_id"] for each in ours} == {box["id"]}:
                break
            await events.next()
    assert len(ours) == 2
    assert await house.flows("edgeassist") == []


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"base": "edge/+"}, {"base": "invalid_base"}),
        ({"base": "  "}, {"base": "invalid_base"}),
        ({"device": "a/b"}, {"device": "invalid_level"}),
        ({"client": "x" * 129}, {"client": "invalid_level"}),
        ({"device": "nowhere"}, {"base": "not_found"}),
        ({"device": "away"}, {"base": "offline"}),
        ({"device": "future"}, {"base": "protocol_unknown"}),
    ],
)
async def test_what_can_not_be_used_is_refused_with_the_reason_and_may_be_mended(
    house: Driver, ready: StartReady, connect: AsyncConnect, change: dict[str, str], errors: dict[str, str]
) -> None:
    await ready()
    wire = await connect.wire("edgeassist/+/status")
    await retain(wire, "away", "offline")
    await retain(wire, "future", "online", protocol=2)
    flow = await house.begin("edgeassist")
    flow = await house.submit(flow, **{**BY_HAND, **change})
    assert (flow["type"], flow["errors"]) == ("form", errors)
    texts = await house.translations("edgeassist", "config")
    assert all(texts[f"component.edgeassist.config.error.{error}"] for error in errors.values())
    made = await house.submit(flow, **BY_HAND)
    assert made["type"] == "create_entry"
    await forget(wire, "away", "future")


async def test_a_box_has_one_entry_and_goes_where_it_is_moved_to(
    house: Driver, ready: StartReady, connect: AsyncConnect
) -> None:
    await ready()
    wire = await connect.wire("edgeassist/+/status")
    await retain(wire, "other", "online")
    entry = await house.add("edgeassist", **BY_HAND)
    again = await house.submit(await house.begin("edgeassist"), **BY_HAND)
    assert (again["type"], again["reason"]) == ("abort", "already_configured")
    other = await house.add("edgeassist", **{**BY_HAND, "device": "other"})
    flow = await house.begin("edgeassist", entry_id=entry["entry_id"])
    flow = await house.submit(flow, **{**BY_HAND, "device": "other"})
    assert (flow["type"], flow["reason"]) == ("abort", "already_configured")
    await house.remove(other["entry_id"])
    flow = await house.begin("edgeassist", entry_id=entry["entry_id"])
    assert flow["step_id"] == "reconfigure"
    flow = await house.submit(flow, **{**BY_HAND, "device": "other"})
    assert (flow["type"], flow["reason"]) == ("abort", "reconfigure_successful")
    [moved] = await house.entries("edgeassist")
    assert moved["title"] == "other"
    await retain(wire, "other", "offline")
    await house.shows(AGENT, lambda state: state and state["state"] == "unavailable")
    await forget(wire, "other")


async def test_what_is_being_answered_is_cancelled_when_the_entry_goes(
    house: Driver, ready: StartReady, connect: AsyncConnect, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"*": "!script repeat=1500 delay_ms=40\nword"}))
    await ready(model__backend="scripted", model__path=str(answers))
    await house.add("edgeassist", **BY_HAND)
    await house.shows(AGENT, lambda state: state and state["state"] != "unavailable")
    wire = await connect.wire("edgeassist/box/command/cancel/ha-test")
    [entry] = await house.entries("edgeassist")
    heard = house.run("tell me", await house.pipeline(AGENT))
    async for each in heard:
        if each.delta.get("content"):
            await house.remove(entry["entry_id"])
            break
    await wire.until(lambda message: message.topic.endswith("cancel/ha-test"))
    await heard.aclose()
    assert await house.shows(AGENT, lambda state: state is None) is None


async def test_the_agents_of_two_boxes_have_names_of_their_own(house: Driver, connect: AsyncConnect) -> None:
    wire = await connect.wire("edgeassist/+/status")
    for device in ("attic", "cellar"):
        await retain(wire, device, "online")
        await house.add("edgeassist", **{**BY_HAND, "device": device})
    ours = [each["name"] for each in await house.devices() if each["identifiers"][0][0] == "edgeassist"]
    assert sorted(ours) == [
        "EdgeAssist",
        "EdgeAssist AI Task",
        "EdgeAssist AI Task cellar",
        "EdgeAssist cellar",
    ]
    await forget(wire, "attic", "cellar")


async def test_a_title_that_the_user_chose_stays(house: Driver, connect: AsyncConnect) -> None:
    wire = await connect.wire("edgeassist/+/status")
    for device in ("old", "new"):
        await retain(wire, device, "online")
    entry = await house.add("edgeassist", **{**BY_HAND, "device": "old"})
    await house.command("config_entries/update", entry_id=entry["entry_id"], title="Mine")
    flow = await house.begin("edgeassist", entry_id=entry["entry_id"])
    flow = await house.submit(flow, **{**BY_HAND, "device": "new"})
    assert flow["reason"] == "reconfigure_successful"
    [moved] = await house.entries("edgeassist")
    assert moved["title"] == "Mine"
    await forget(wire, "old", "new")
