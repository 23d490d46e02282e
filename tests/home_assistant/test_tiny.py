"""EdgeAssist Tiny as an agent of a real Home Assistant: what is said is done, and said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from edgeassist.sandbox import PrivateDaemon
from tests.conftest import StartReady
from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import Version, tried
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.talk import reply
from tests.home_assistant.toys import AWAY, ORDINARY, without

pytestmark = pytest.mark.timeout(1500)

AGENT = "conversation.edgeassist"


@pytest.fixture(scope="module", params=tried(*Version))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


@pytest.fixture
async def tiny(house: Driver, ready: StartReady) -> AsyncIterator[PrivateDaemon]:
    """A box with the built-in model, its agent, and an ordinary home."""
    process, _ = await ready(model__path="builtin:tiny")
    await house.furnish(ORDINARY)
    await house.add("edgeassist", base="edgeassist", device="box", client="ha-tiny")
    await house.shows(AGENT, lambda state: state is not None and state["state"] != "unavailable")
    yield process
    for entry in await house.entries("edgeassist"):
        await house.remove(entry["entry_id"])


@dataclass(frozen=True)
class Done:
    """A command, what it does, and what is said.

    Attributes:
        said: The words.
        entity: What changes.
        shows: What it shows then: its state, or an attribute's value.
        answer: What is said.
        language: The conversation's.
        satellite: Which hears it, if one does.
    """

    said: str
    entity: str
    shows: str | tuple[str, object]
    answer: str
    language: str = "en"
    satellite: str | None = None


DONE = [
    Done("Turn on the lights in the kitchen", "light.kitchen", "on", "Turned on the Kitchen light."),
    Done("put the reading lamp on please", "light.reading_lamp", "on", "Turned on the Reading lamp."),
    Done("dim the hall light to 30%", "light.hall", ("brightness", 76), "Set the Hall light to 30 %."),
    Done("打开厨房的灯", "light.kitchen", "on", "已打开Kitchen light。", "zh-CN"),
    Done("把浴室的灯打开", "light.bathroom", "on", "已打开Bathroom light。", "zh-CN"),
    Done("lights on", "light.bedroom", "on", "Turned on the Bedroom light.", satellite="Bedroom satellite"),
    Done("close the bedroom blinds", "cover.bedroom_blinds", "closed", "Closing the Bedroom blinds."),
    Done(
        "heat the bedroom to 19", "climate.bedroom", ("temperature", 19), "Set the Bedroom heating to 19 °C."
    ),
    Done("start the robot", "vacuum.robot", "cleaning", "Started Robot."),
    Done("switch the coffee maker on", "switch.coffee_machine", "on", "Turned on the Coffee machine."),
    Done("bathroom fan to 50 percent", "fan.bathroom", ("percentage", 50), "Set the Bathroom fan to 50 %."),
]


async def test_commands_are_done_and_said(house: Driver, tiny: PrivateDaemon) -> None:
    for each in DONE:
        if each.satellite:
            pipeline = await house.pipeline(AGENT)
            heard = await house.streamed(each.said, pipeline, device=await house.device(each.satellite))
            answer = reply(heard)
        else:
            answer = await house.say(each.said, AGENT, language=each.language)
        assert (each.said, answer.speech, answer.kind) == (each.said, each.answer, "action_done")
        await house.shows(each.entity, showing(each.shows))
        if isinstance(each.shows, str) and each.entity.startswith("light."):
            await house.call("light.turn_off", each.entity)
            await house.is_(each.entity, "off")


def showing(what: str | tuple[str, object]) -> Callable[[dict[str, Any] | None], bool]:
    def shows(state: dict[str, Any] | None) -> bool:
        if state is None:
            return False
        if isinstance(what, str):
            return bool(state["state"] == what)
        return bool(state["attributes"].get(what[0]) == what[1])

    return shows


async def test_all_lights_are_one_call_and_leave_the_rest(house: Driver, tiny: PrivateDaemon) -> None:
    answer = await house.say("turn on all the lights", AGENT)
    assert (answer.kind, answer.speech) == ("action_done", "Turned on all lights.")
    states = await house.states()
    for entity, state in states.items():
        if entity.startswith("light."):
            await house.is_(entity, "on")
        elif entity.startswith("switch."):
            assert state["state"] == "off"


@pytest.mark.parametrize(
    ("said", "language", "answer"),
    [
        ("How warm is it in the kitchen?", "en", "The temperature in Kitchen is 21.5 °C."),
        ("厨房温度是多少", "zh-CN", "Kitchen的温度是21.5 °C。"),
        ("Is the bathroom window open?", "en", "Bathroom window is closed."),
        ("What is the humidity in the bedroom", "en", "The humidity in Bedroom is 48 %."),
    ],
)
async def test_questions_are_answered_from_sensors(
    house: Driver, tiny: PrivateDaemon, said: str, language: str, answer: str
) -> None:
    told = await house.say(said, AGENT, language=language)
    assert (told.kind, told.speech) == ("query_answer", answer)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("turn on the fan in the garage", "I know of no fans in Garage."),
        ("what is the humidity in the hall", "I know of no sensor for the humidity in Hall."),
    ],
)
async def test_what_the_home_lacks_is_said(
    house: Driver, tiny: PrivateDaemon, said: str, answer: str
) -> None:
    told = await house.say(said, AGENT)
    assert (told.kind, told.code, told.speech) == ("error", "no_valid_targets", answer)


async def test_what_cannot_be_reached_is_not_said_to_be_done(
    house: Driver, running: HomeAssistant, tiny: PrivateDaemon
) -> None:
    running.silent.append(AWAY)
    await house.furnish(without(ORDINARY, "light.kitchen", "light.living_room"))
    for said, language, answer in [
        ("turn on the kitchen light", "en", "I can't reach the Kitchen light."),
        ("打开厨房的灯", "zh-CN", "无法连接Kitchen light。"),
    ]:
        told = await house.say(said, AGENT, language=language)
        assert (told.kind, told.code, told.speech) == ("error", "failed_to_handle", answer)
    some = await house.say("turn on the lights in the living room", AGENT)
    assert some.kind == "action_done"
    assert some.speech == "Turned on the lights in Living room. I can't reach the Living room light."
    await house.is_("light.reading_lamp", "on")


async def test_what_it_is_not_for_goes_to_home_assistant(house: Driver, tiny: PrivateDaemon) -> None:
    assert (await house.say("Schalte das Kitchen light ein", AGENT, language="de")).kind == "action_done"
    await house.is_("light.kitchen", "on")
    nonsense = await house.say("the cat is on the sofa", AGENT)
    assert (nonsense.kind, nonsense.code) == ("error", "no_intent_match")
    assert nonsense.speech == "Sorry, I can't do that."
    several = await house.say("turn on the hall light and then sing", AGENT)
    assert (several.kind, several.speech) == ("error", "One thing at a time, please.")


async def test_several_commands_are_all_done_or_none(house: Driver, tiny: PrivateDaemon) -> None:
    answer = await house.say("turn on the hall light and close the bedroom blinds", AGENT)
    assert (answer.kind, answer.speech) == (
        "action_done",
        "Turned on the Hall light. Closing the Bedroom blinds.",
    )
    await house.is_("light.hall", "on")
    await house.is_("cover.bedroom_blinds", "closed")
    answer = await house.say("turn off the hall light and turn on the fan in the garage", AGENT)
    assert (answer.kind, answer.speech) == ("error", "I know of no fans in Garage.")
    assert (await house.states())["light.hall"]["state"] == "on"


async def test_locks_and_doors_need_no_model_where_the_words_are_exact(
    house: Driver, tiny: PrivateDaemon
) -> None:
    answer = await house.say("unlock the front door", AGENT)
    assert (answer.kind, answer.speech) == ("action_done", "Unlocked the Front door.")
    await house.is_("lock.front_door", "unlocked")
    answer = await house.say("open the garage door", AGENT)
    assert (answer.kind, answer.speech) == ("action_done", "Opening the Garage door.")
    await house.is_("cover.garage_door", "open")
    answer = await house.say("close the garage", AGENT)
    assert (answer.kind, answer.speech) == ("action_done", "Closing the Garage door.")
    await house.is_("cover.garage_door", "closed")


async def test_nothing_is_guessed_into_a_lock_or_a_door(house: Driver, tiny: PrivateDaemon) -> None:
    for said in ["let me in at the front door", "make the front door free", "get the garage open already"]:
        await house.say(said, AGENT)
    states = await house.states()
    assert states["lock.front_door"]["state"] == "locked"
    assert states["cover.garage_door"]["state"] == "closed"
