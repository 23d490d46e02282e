"""The driver, on each version that our integration runs on."""

from __future__ import annotations

import dataclasses

import httpx
import pytest

from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import Version, tried
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.talk import reply
from tests.home_assistant.toys import ORDINARY
from tests.home_assistant.wire import CommandError

# The first of these tests makes a Debian and installs Home Assistant in it.
pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module", params=tried(*Version))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


async def test_a_home_is_furnished_and_does_what_it_is_told(house: Driver) -> None:
    await house.furnish(ORDINARY)
    states = await house.states()
    for toy in ORDINARY.toys:
        assert states[toy.entity]["state"] == toy.state
    await house.call("light.turn_on", "light.kitchen", brightness=100)
    assert (await house.is_("light.kitchen", "on"))["attributes"]["brightness"] == 100
    await house.call("cover.set_cover_position", "cover.bedroom_blinds", position=0)
    await house.is_("cover.bedroom_blinds", "closed")
    await house.call("media_player.media_pause", "media_player.radio")
    await house.is_("media_player.radio", "paused")
    await house.call("climate.set_temperature", "climate.bedroom", temperature=17)
    assert (await house.is_("climate.bedroom", "heat"))["attributes"]["temperature"] == 17
    await house.call("vacuum.start", "vacuum.robot")
    await house.is_("vacuum.robot", "cleaning")
    await house.call("lock.unlock", "lock.front_door")
    await house.is_("lock.front_door", "unlocked")
    await house.call("fan.set_percentage", "fan.bathroom", percentage=40)
    assert (await house.is_("fan.bathroom", "on"))["attributes"]["percentage"] == 40
    await house.call("switch.turn_on", "switch.towel_rail")
    assert await house.render("{{ is_state('switch.towel_rail', 'on') }}") is True


async def test_what_is_said_is_understood_by_names_aliases_and_the_satellites_area(house: Driver) -> None:
    await house.furnish(ORDINARY)
    assert (await house.say("turn on the floor lamp")).kind == "action_done"
    await house.is_("light.reading_lamp", "on")
    pipeline = await house.pipeline("conversation.home_assistant")
    heard = await house.streamed(
        "turn on the lights", pipeline, device=await house.device("Bedroom satellite")
    )
    assert (heard[0].kind, heard[-1].kind) == ("run-start", "run-end")
    assert reply(heard).kind == "action_done"
    await house.is_("light.bedroom", "on")
    assert (await house.states())["light.kitchen"]["state"] == "off"


async def test_only_what_is_exposed_is_heard_of(house: Driver) -> None:
    hidden = [dataclasses.replace(toy, exposed=toy.entity != "light.hall") for toy in ORDINARY.toys]
    await house.furnish(dataclasses.replace(ORDINARY, toys=tuple(hidden)))
    assert (await house.say("turn on the hall light")).code == "no_valid_targets"
    await house.expose(["light.hall"])
    assert (await house.say("turn on the hall light")).kind == "action_done"


async def test_what_home_assistant_refuses_is_an_error_with_its_code(
    house: Driver, running: HomeAssistant
) -> None:
    running.silent.append("no_such_integration")
    with pytest.raises(CommandError, match="no/such/command") as refused:
        await house.command("no/such/command")
    assert refused.value.code == "unknown_command"
    with pytest.raises(httpx.HTTPStatusError, match="Invalid handler"):
        await house.begin("no_such_integration")
    async with house.subscribe("subscribe_events", event_type="nothing") as events:
        with pytest.raises(TimeoutError):
            await events.next(patience_s=0.01)


async def test_flows_entries_and_registries_are_seen(house: Driver) -> None:
    entry = await house.furnish(ORDINARY)
    await house.reload(entry["entry_id"])
    assert [each["state"] for each in await house.entries("toy_home")] == ["loaded"]
    await house.change("light.hall", name="Corridor")
    assert (await house.entities())["light.hall"]["name"] == "Corridor"
    await house.remove(entry["entry_id"])
    assert await house.shows("light.hall", lambda state: state is None) is None
    assert await house.flows("toy_home") == []
