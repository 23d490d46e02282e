"""What Home Assistant and others at the broker may come with, and nobody thinks of."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from signal import SIGKILL
from typing import Any

import pytest

from edgeassist.sandbox import PrivateBroker
from tests.conftest import AsyncConnect
from tests.home_assistant.boxes import AGENT, Box, is_there
from tests.home_assistant.driver import Driver
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.talk import spoken
from tests.home_assistant.test_agent import PROMPTS, as_info, calling, is_away, prompts
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.timeout(600)

TURN_ON = "intent__HassTurnOn"
# Longer than a tool's name may be.
LONG = "say_good_night_to_everybody_who_is_still_awake_at_this_late_hour_of_the_day"
SCRIPTS = f"""
{LONG}:
  sequence: []
waits:
  sequence:
    - wait_for_trigger:
        - trigger: event
          event_type: go_on
tells_much:
  sequence:
    - variables:
        much:
          text: "{{{{ 'bees see ' * 10000 }}}}"
    - stop: Told.
      response_variable: much
asks_much:
  fields:
    chosen:
      selector:
        select:
          options: []
    anything:
      selector:
        object:
    when:
      selector:
        datetime:
    colour:
      selector:
        color_rgb:
    where:
      selector:
        target:
    place:
      selector:
        location:
          radius: true
    actions:
      selector:
        action:
    conditions:
      selector:
        condition:
    lights:
      selector:
        entity:
          multiple: true
  sequence: []
"""


@pytest.fixture(scope="module")
def beside() -> dict[str, Any]:
    return {"scripts": SCRIPTS}


async def offer(house: Driver, script: str) -> None:
    """Have a script as a tool."""
    await house.command(
        "homeassistant/expose_entity",
        assistants=["conversation"],
        entity_ids=[f"script.{script}"],
        should_expose=True,
    )


async def test_a_tool_with_a_long_name_goes_on_in_the_second_round(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    name = f"script__{LONG}"[:64]
    await box({"*good night?": calling(name), "*": "Good night."})
    await offer(house, LONG)
    wire = await connect.wire(PROMPTS)
    assert (await house.say("how about a good night?", AGENT)).speech == "Good night."
    assert prompts(wire)[1]["messages"][2]["tool_calls"][0]["function"]["name"] == name


async def test_a_result_that_does_not_fit_is_shortened(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*tell me": calling("script__tells_much"), "*": "About bees."}, model__context=6144)
    await offer(house, "tells_much")
    wire = await connect.wire(PROMPTS)
    assert (await house.say("tell me", AGENT)).speech == "About bees."
    results = [request["messages"][-1]["content"] for request in prompts(wire)[1:]]
    assert len(results) > 1
    assert all(len(shorter) < len(longer) for longer, shorter in pairwise(results))
    assert await house.issues("edgeassist") == []


async def test_every_kind_of_field_is_one_that_a_box_with_a_real_grammar_takes(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "Yes."})
    await offer(house, "asks_much")
    wire = await connect.wire(PROMPTS)
    await house.say("is it warm", AGENT)
    [parameters] = [
        tool["function"]["parameters"]
        for tool in prompts(wire)[0]["tools"]
        if tool["function"]["name"] == "script__asks_much"
    ]
    assert len(parameters["properties"]) == 9
    assert parameters["properties"]["chosen"] == {"type": "string"}


async def test_a_call_that_is_written_as_words_is_made_and_not_said(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    call = {"name": TURN_ON, "arguments": {"name": "Kitchen light"}}
    await box({"*some light": "Sure. " + json.dumps(call)})
    wire = await connect.wire(PROMPTS)
    heard = await house.streamed("make some light", await house.pipeline(AGENT))
    choices = [request.get("tool_choice") for request in prompts(wire)]
    assert choices == [None, {"type": "function", "function": {"name": TURN_ON}}]
    assert "{" not in spoken(heard)


@pytest.mark.parametrize(
    ("said", "kind", "sentence"),
    [
        (
            "*make it nice",
            "error",
            "The model answered in code instead of words. Please say it in other words.",
        ),
        ("*what is JSON", "action_done", '{"name": "LightDone", "arguments": {}}'),
    ],
)
async def test_only_who_asks_for_code_is_told_code(
    house: Driver, box: Box, connect: AsyncConnect, *, said: str, kind: str, sentence: str
) -> None:
    await box({said: json.dumps({"name": "LightDone", "arguments": {}})})
    wire = await connect.wire(PROMPTS)
    answer = await house.say(said.removeprefix("*"), AGENT)
    assert (answer.kind, answer.speech) == (kind, sentence)
    assert len(prompts(wire)) == 1


async def test_a_question_that_no_reading_answers_is_asked_again_without_the_home(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    code = json.dumps({"name": "GetCapital", "arguments": {}})
    question = "What is the capital of France?"
    await box({question: "Paris.", f"*{question}": code})
    wire = await connect.wire(PROMPTS)
    assert (await house.say(question, AGENT)).speech == "Paris."
    first, again = prompts(wire)
    assert ("tools" in first, "tools" in again) == (True, False)


@pytest.mark.parametrize(
    "mistake", [calling(TURN_ON, name="Kitchen light"), '{"name": "GetLights", "arguments": {}}']
)
async def test_a_question_switches_nothing_and_is_asked_otherwise_where_a_model_would(
    house: Driver, box: Box, connect: AsyncConnect, mistake: str
) -> None:
    await box({"*- Kitchen light: off*": "C'est éteint.", "*is the kitchen light on?": mistake})
    await house.call("light.turn_off", "light.kitchen")
    wire = await connect.wire(PROMPTS)
    # Where there are no sentences for it, the model reads them.
    for language, sentence in [*[("en", "The Kitchen light is off.")] * 2, ("fr", "C'est éteint.")]:
        answer = await house.say("is the kitchen light on?", AGENT, language=language)
        assert (answer.kind, answer.speech) == ("action_done", sentence)
    await house.is_("light.kitchen", "off")
    # That it has no words where it knows of tools is known after the second time.
    assert ["tools" in request for request in prompts(wire)] == [True, True, False]


async def test_what_a_model_makes_up_of_what_it_has_done_is_not_said(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    made_up = json.dumps({"name": TURN_ON + "Response", "arguments": {"message": "on"}})
    await box(
        {
            "*is it dark*": calling(TURN_ON, name="Kitchen light"),
            "Done: Kitchen light.": f"{made_up}\n" * 10,
        }
    )
    wire = await connect.wire(PROMPTS)
    assert (await house.say("is it dark in here", AGENT)).speech == "Turned on the Kitchen light."
    assert len(prompts(wire)) == 2


async def test_an_entry_that_is_loaded_again_while_a_tool_is_at_work_is_not_a_silent_box(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*wait": calling("script__waits"), "*": "Done."})
    await offer(house, "waits")
    wire = await connect.wire(PROMPTS)
    [entry] = await house.entries("edgeassist")
    asked = asyncio.create_task(house.say("is there time to wait", AGENT))
    await house.is_("script.waits", "on")
    await house.reload(entry["entry_id"])
    await house.command("fire_event", event_type="go_on")
    assert (await asked).speech == "The answer was cancelled."
    assert len(prompts(wire)) == 1
    assert await house.issues("edgeassist") == []
    await house.shows(AGENT, is_there)
    assert (await house.say("and now", AGENT)).speech == "Done."


@pytest.mark.parametrize(
    "payload",
    [
        "[" * 200_000,
        "[1]",
        '{"protocol": 1, "model": 5, "capabilities": [1], "settings": 3}',
        '{"id": "a", "seq": 0, "type": ["done"]}',
        '{"id": "a", "seq": 0, "type": "accepted", "position": Infinity}',
        json.dumps({"protocol": 1, "model": {"name": "x" * 1_000_000}}),
    ],
    ids=lambda payload: payload[:40],
)
async def test_what_others_publish_in_the_boxs_name_is_no_error_in_the_log(
    house: Driver, box: Box, connect: AsyncConnect, payload: str
) -> None:
    await box({"*": "Yes."})
    wire = await connect.wire("edgeassist/box/info")
    said = await wire.until(lambda message: message.topic == "edgeassist/box/info")
    for topic in ("box/info", "other/info", "box/health", "box/reply/ha-test/x", "box/reply/ha-test/y"):
        wire.say(f"edgeassist/{topic}", payload, qos=1, retain=topic.endswith("info"))
    assert (await house.say("is it warm", AGENT)).speech == "Yes."
    [entry] = await house.entries("edgeassist")
    await house.diagnostics(entry["entry_id"])
    wire.say("edgeassist/other/info", b"", qos=1, retain=True)
    wire.say("edgeassist/box/info", said.payload, qos=1, retain=True)


async def test_a_box_that_goes_while_the_broker_is_away_is_away(
    house: Driver, running: HomeAssistant, box: Box, broker: PrivateBroker
) -> None:
    running.silent += ["components.mqtt", "paho.mqtt", "Task exception was never retrieved"]
    daemon = await box({"*": "Yes."})
    broker.stop()
    await house.shows(AGENT, is_away)
    daemon.stop(SIGKILL)
    broker.start()
    while "connection to its MQTT broker" in (answer := await house.say("is it warm", AGENT)).speech:
        await asyncio.sleep(0.2)
    assert answer.speech == "The box box is offline."
    daemon.start()
    await house.shows(AGENT, is_there)


async def test_diagnostics_are_there_without_a_broker(house: Driver, box: Box) -> None:
    await box({"*": "Yes."})
    [entry], [mqtt] = await house.entries("edgeassist"), await house.entries("mqtt")
    await house.command("config_entries/disable", entry_id=mqtt["entry_id"], disabled_by="user")
    try:
        assert "MQTT broker" in (await house.say("is it warm", AGENT)).speech
        await house.reload(entry["entry_id"])
        assert (await house.diagnostics(entry["entry_id"]))["data"]["state"] == "setup_retry"
    finally:
        await house.command("config_entries/disable", entry_id=mqtt["entry_id"], disabled_by=None)
    await house.reload(entry["entry_id"])
    await house.shows(AGENT, is_there)
    assert (await house.say("is it warm", AGENT)).speech == "Yes."


async def test_a_command_of_edgeassist_tiny_goes_first_and_does_not_wait_for_long(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box(model__path="builtin:tiny")
    wire = await connect.wire(PROMPTS)
    satellite = await house.device("Kitchen satellite")
    for device in (satellite, None):
        await house.say("dim the kitchen light to 30", AGENT, device=device)
    await house.is_("light.kitchen", "on")
    assert [(request["priority"], request["timeout_s"]) for request in prompts(wire)] == [
        ("high", 20.0),
        ("normal", 20.0),
    ]


async def test_edgeassist_tiny_is_asked_as_such_while_its_box_starts(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box(model__path="builtin:tiny")
    wire = await connect.wire("edgeassist/box/info", PROMPTS)
    # As a daemon says that has no model yet.
    await as_info(wire, lambda info: info.update(model=None))
    await house.say("turn on the kitchen light", AGENT)
    await house.is_("light.kitchen", "on")
    assert all("tools" not in request for request in prompts(wire))


async def test_a_question_whose_first_answer_is_lost_is_asked_once_more(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    daemon = await box({"*": "Yes."})
    wire = await connect.wire(PROMPTS)
    daemon.stop()
    await house.shows(AGENT, is_away)
    wire.say("edgeassist/box/status", "online", qos=1, retain=True)
    await house.shows(AGENT, is_there)
    asked = asyncio.create_task(house.say("is it warm", AGENT))
    async with asyncio.timeout(PATIENCE_S):
        while len(prompts(wire)) < 2:
            await asyncio.sleep(0.05)
    first, second = (message.payload for message in wire.heard)
    assert first == second
    request = json.loads(first)["id"]
    end = {"type": "done", "text": "It is.", "finish_reason": "stop", "usage": {}}
    # The chunk between them is lost, too.
    for seq, event in ((0, {"type": "accepted", "position": 0}), (2, end)):
        reply = json.dumps({"id": request, "seq": seq, **event})
        wire.say(f"edgeassist/box/reply/ha-test/{request}", reply, qos=1)
    assert (await asked).speech == "It is."
