"""A home as people live in it: timers, another model, a box that sleeps, two boxes, many scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import PrivateBroker
from tests.conftest import AsyncConnect, environ_of
from tests.home_assistant.agents import agent_of
from tests.home_assistant.boxes import AGENT, Box, is_there
from tests.home_assistant.driver import Driver
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.talk import reply
from tests.home_assistant.test_agent import PROMPTS, as_info, calling, is_away, prompts
from tests.home_assistant.toys import AWAY, ORDINARY, without
from tests.patience import PATIENCE_S
from tests.preloaded import PrivateDaemon

pytestmark = pytest.mark.timeout(600)

HALL, KITCHEN = "Hall satellite", "Kitchen satellite"
WITH_TIMERS = replace(ORDINARY, satellites={**ORDINARY.satellites, HALL: "Hall"}, timers=(HALL,))
# More than a request may offer, and one whose description alone takes all its room.
MANY = 130
SCRIPTS = "".join(f"s{number}:\n  sequence: []\n" for number in range(MANY))
SCRIPTS += f"long:\n  description: {'blah ' * 14_000}\n  sequence: []\n"


@pytest.fixture(scope="module")
def beside() -> dict[str, Any]:
    return {"scripts": SCRIPTS}


async def expose(house: Driver, *scripts: str, exposed: bool = True) -> None:
    """Have scripts as tools, or no longer."""
    await house.command(
        "homeassistant/expose_entity",
        assistants=["conversation"],
        entity_ids=[f"script.{name}" for name in scripts],
        should_expose=exposed,
    )


async def test_a_satellite_with_timers_sets_asks_and_cancels_them(
    house: Driver, running: HomeAssistant, box: Box, connect: AsyncConnect
) -> None:
    running.silent.append("intent.timers] Timer not found")
    await box(
        {
            "*set a timer for five minutes": calling("intent__HassStartTimer", minutes=5, name="pizza"),
            "*how long is the pizza": calling("intent__HassTimerStatus", name="pizza"),
            "*cancel the pizza": calling("intent__HassCancelTimer", name="pizza"),
            "*set one for": calling("intent__HassStartTimer", minutes=1),
            '*"total_seconds_left"*': "Almost five minutes.",
            "Error:*": "There is none.",
        }
    )
    await house.furnish(WITH_TIMERS)
    wire = await connect.wire(PROMPTS)
    pipeline = await house.pipeline(AGENT)
    hall, kitchen = await house.device(HALL), await house.device(KITCHEN)

    async def say(text: str, device: str = hall) -> str:
        return reply(await house.streamed(text, pipeline, device=device)).speech

    assert await say("cancel the pizza") == "There is none."
    assert await say("set a timer for five minutes") == "Timer pizza set for 5 minutes."
    assert await say("how long is the pizza") == "Almost five minutes."
    assert await say("cancel the pizza") == "Timer pizza cancelled."
    await say("is there a timer", kitchen)
    asked = prompts(wire)
    # A satellite without timers shares all tools that come before those.
    [with_timers, without] = [
        [tool["function"]["name"] for tool in asked[number]["tools"]] for number in (0, -1)
    ]
    assert with_timers[: len(without)] == without
    assert len(with_timers) == len(without) + 7
    assert asked[0]["messages"][0] == asked[-1]["messages"][0]


async def test_another_model_takes_over_while_the_agent_is_there(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "I know nothing of lights."})
    wire, client = await connect.wire(PROMPTS), await connect()
    said = []
    for model in ("builtin:tiny", "default"):
        used = await client.command("model", wait_s=PATIENCE_S, action="use", model=model)
        assert used.status == "ok", used
        said.append((await house.say("turn on the lights in the living room", AGENT)).speech)
    assert said == ["Turned on the lights in Living room.", "I know nothing of lights."]
    assert ["tools" in request for request in prompts(wire)] == [False, True]
    assert await house.issues("edgeassist") == []


async def test_a_box_that_sleeps_is_there_and_wakes_for_a_question(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "Yes."}, model__sleep_idle_s=0.5)
    wire = await connect.wire("edgeassist/box/health")
    await wire.until(lambda message: json.loads(message.payload).get("sleeping"))
    await house.shows(AGENT, is_there)
    assert (await house.say("is it warm", AGENT)).speech == "Yes."
    assert await house.issues("edgeassist") == []


async def test_an_info_that_was_cut_for_a_small_broker_is_enough(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*light on": calling("intent__HassTurnOn", name="Kitchen light")})
    wire = await connect.wire("edgeassist/box/info")

    def cut(info: dict[str, Any]) -> None:
        for name in set(info) - {"version", "protocol", "device"}:
            del info[name]
        info["cut"] = True

    await as_info(wire, cut)
    assert (await house.say("light on", AGENT)).speech == "Turned on the Kitchen light."
    [entry] = await house.entries("edgeassist")
    assert (await house.diagnostics(entry["entry_id"]))["data"]["info"]["cut"] is True
    assert await house.issues("edgeassist") == []


async def test_a_home_with_more_tools_than_a_request_may_have_is_said_to_be_one(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "Yes."})
    wire = await connect.wire(PROMPTS)
    many = [f"s{number}" for number in range(MANY)]
    await expose(house, *many)
    assert "more than the 128 that the box takes" in (await house.say("is it warm", AGENT)).speech
    await expose(house, *many, exposed=False)
    await expose(house, "long")
    assert "the box takes 64" in (await house.say("is it warm", AGENT)).speech
    assert prompts(wire) == []
    await expose(house, "long", exposed=False)
    assert (await house.say("is it warm", AGENT)).speech == "Yes."


async def test_a_door_moves_as_it_was_said_whichever_call_the_model_takes(house: Driver, box: Box) -> None:
    calls = {
        "unlock the front door": calling("intent__HassTurnOn", name="Front door"),
        "open the garage": calling("intent__HassTurnOff", name="garage", area="Garage"),
    }
    await box({f"*{said}": call for said, call in calls.items()})
    said = [(await house.say(each, AGENT)).speech for each in calls]
    assert said == ["Unlocked the Front door.", "Opening the Garage door."]
    await house.is_("lock.front_door", "unlocked")
    await house.is_("cover.garage_door", "open")


async def test_what_cannot_be_reached_is_not_said_to_be_done(
    house: Driver, running: HomeAssistant, box: Box, connect: AsyncConnect
) -> None:
    running.silent.append(AWAY)
    kitchen, reading = (
        calling("intent__HassTurnOn", name=name) for name in ("Kitchen light", "Reading lamp")
    )
    await box(
        {
            "*kitchen light on": kitchen,
            "*kitchen light and the reading lamp": f"{kitchen}\n{reading}",
            "*about the kitchen light?": kitchen,
            "Failed: Kitchen light (unavailable).": "It is away.",
        }
    )
    await house.furnish(without(ORDINARY, "light.kitchen"))
    wire = await connect.wire(PROMPTS)
    said = [
        (await house.say(each, AGENT)).speech
        for each in (
            "kitchen light on",
            "turn on the kitchen light and the reading lamp",
            "what about the kitchen light?",
        )
    ]
    away = "I can't reach the Kitchen light."
    assert said == [away, f"Turned on the Reading lamp. {away}", "It is away."]
    await house.is_("light.reading_lamp", "on")
    assert len(prompts(wire)) == 3


async def test_thanks_are_answered_in_words_and_never_with_a_call(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    code = json.dumps({"name": "intent__HassThank", "arguments": {}})
    await box({"*lamp?": "Which lamp?", "Thank you, that is all.": "You're welcome.", "*that is all.": code})
    wire = await connect.wire(PROMPTS)
    answered = await house.say("Thank you, that is all.", AGENT)
    assert (answered.kind, answered.speech) == ("action_done", "You're welcome.")
    asked, again = prompts(wire)
    assert (asked["tool_choice"], "tools" in again) == ("none", False)
    # The tools are told all the same: what the box has read goes up to the words.
    await house.say("can you see a lamp?", AGENT, conversation=answered.conversation)
    assert prompts(wire)[2]["tools"] == asked["tools"]
    # What may answer the agent's question is left to the model.
    await house.say("ok", AGENT, conversation=answered.conversation)
    assert "tool_choice" not in prompts(wire)[3]


async def test_two_boxes_are_two_agents_and_one_that_goes_leaves_the_other(
    house: Driver, box: Box, broker: PrivateBroker, connect: AsyncConnect, tmp_path: Path
) -> None:
    await box({"*": "From the first."})
    wire = await connect.wire("edgeassist/second/health")
    answers = tmp_path / "second.json"
    answers.write_text(json.dumps({"*": "From the second."}))
    folder = tmp_path / "second"
    folder.mkdir()
    settings = environ_of(broker.port, device__name="second", model__backend="scripted", model__path=answers)
    with PrivateDaemon(folder, settings) as second:
        await wire.until(lambda message: json.loads(message.payload)["state"] == "ready")
        added = await house.add("edgeassist", base="edgeassist", device="second", client="ha-test")
        other = await agent_of(house, added["entry_id"])
        assert (await house.say("is it warm", AGENT)).speech == "From the first."
        assert (await house.say("is it warm", other)).speech == "From the second."
        second.stop()
        await house.shows(other, is_away)
        assert (await house.say("is it warm", other)).speech == "The box second is offline."
        assert (await house.say("is it warm", AGENT)).speech == "From the first."
