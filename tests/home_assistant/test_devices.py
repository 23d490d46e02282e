"""A box stands once in Home Assistant: figures come by MQTT discovery, agents and tasks are linked."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartReady
from tests.home_assistant.boxes import AGENT, TASK, add_box, remove_boxes
from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import Version, tried
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.timeout(1500)

BOX = "EdgeAssist box"
OURS = {"EdgeAssist", "EdgeAssist AI Task"}
WATCH = """
[homeassistant]
discovery = true

[[watch]]
name = "laundry"
topics = ["home/washer"]
instructions = "The power of a washing machine in watts."

[watch.questions.done]
type = "yes_no"
instructions = "Has it finished?"
"""


@pytest.fixture(scope="module", params=tried(Version.NEWEST, Version.OLDEST))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


async def devices(house: Driver) -> dict[str, dict[str, Any]]:
    """Return the devices of the box by their name."""
    found = [each for each in await house.devices() if each["manufacturer"] == "EdgeAssist"]
    assert len({each["name"] for each in found}) == len(found)
    return {each["name"]: each for each in found}


async def linked(house: Driver, box: str | None) -> None:
    """Wait until agents and tasks hang on that device, or on none."""
    async with (
        asyncio.timeout(PATIENCE_S),
        house.subscribe("subscribe_events", event_type="device_registry_updated") as events,
    ):
        while {(await devices(house))[name]["via_device_id"] for name in OURS} != {box}:
            await events.next()


async def test_figures_and_watches_are_the_mqtt_device_s_and_nothing_is_there_twice(
    house: Driver, ready: StartReady, tmp_path: Path
) -> None:
    file = tmp_path / "edgeassist.toml"
    file.write_text(WATCH)
    await ready(config=file)
    await remove_boxes(house)
    await add_box(house)
    watched = "binary_sensor.edgeassist_box_laundry_done"
    await house.shows(watched, lambda state: state is not None)
    box = await house.device(BOX)
    await linked(house, box)
    assert set(await devices(house)) == {BOX, *OURS}
    entities = {
        name: each
        for name, each in (await house.entities()).items()
        if each["platform"] in {"mqtt", "edgeassist"}
    }
    assert entities[watched]["device_id"] == box
    assert {name for name, each in entities.items() if each["platform"] == "edgeassist"} == {AGENT, TASK}
    assert {each["device_id"] for each in entities.values() if each["platform"] == "mqtt"} == {box}
    assert not [name for name in entities if name.endswith("_2")]
    states = await house.states()
    shown = Counter(
        states[name]["attributes"]["friendly_name"]
        for name, each in entities.items()
        if not each["disabled_by"]
    )
    assert set(shown.values()) == {1}, shown
    [entry] = await house.entries("edgeassist")
    await house.reload(entry["entry_id"])
    await linked(house, box)
    assert set(await devices(house)) == {BOX, *OURS}


async def test_a_box_reads_well_without_mqtt_discovery_and_is_linked_as_soon_as_that_comes(
    house: Driver, ready: StartReady, tmp_path: Path
) -> None:
    file = tmp_path / "edgeassist.toml"
    file.write_text("")
    _, client = await ready(config=file)
    await remove_boxes(house)
    await add_box(house)
    found = await devices(house)
    assert set(found) == OURS
    for each in found.values():
        assert (each["via_device_id"], each["entry_type"], each["model"]) == (None, "service", "scripted")
    for on in (True, False, True):
        file.write_text(f"[homeassistant]\ndiscovery = {str(on).lower()}\n")
        await client.command("reload")
        if on:
            await house.shows("sensor.edgeassist_box_state", lambda state: state is not None)
            await linked(house, await house.device(BOX))
        else:
            await linked(house, None)
            assert set(await devices(house)) == OURS
    await remove_boxes(house)
    assert set(await devices(house)) == {BOX}
