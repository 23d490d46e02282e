"""A conversation agent in a real Home Assistant: what is said goes to a box, what its model calls is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing
from signal import SIGKILL
from typing import Any

import pytest

from edgeassist.engine.messages import Tool, Tools
from edgeassist.errors import Code
from edgeassist.protocol.events import Failed
from edgeassist.sandbox import PrivateBroker
from tests.conftest import AsyncConnect, Wire
from tests.home_assistant.boxes import AGENT, Box, is_there
from tests.home_assistant.driver import Driver, drive
from tests.home_assistant.installation import Version, tried
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.talk import reply, spoken
from tests.home_assistant.toys import ORDINARY
from tests.unit.calls import FORMS, compiler

pytestmark = pytest.mark.timeout(1500)

PROMPTS = "edgeassist/box/prompt/ha-test"
CANCEL = "edgeassist/box/command/cancel/ha-test"
# Far above what is needed, far below all that could be waited for.
AT_ONCE_S = 5.0
# An answer of a minute.
LONG = "!script repeat=1500 delay_ms=40\nword"

Named = Callable[[str], str]


@pytest.fixture(scope="module", params=tried(*Version))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


@pytest.fixture
def tool(version: Version) -> Named:
    """Names of Home Assistant's tools, which have their integration in front since 2026.9."""
    return lambda name: name if version is Version.OLDEST else f"intent__{name}"


def calling(name: str, /, **arguments: object) -> str:
    """A call as the scripted model writes it."""
    return "<tool_call>\n" + json.dumps({"name": name, "arguments": arguments}) + "\n</tool_call>"


def is_away(state: dict[str, Any] | None) -> bool:
    return state is not None and state["state"] == "unavailable"


def prompts(wire: Wire) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in wire.heard if message.topic == PROMPTS]


async def test_a_light_is_switched_and_the_answer_streams(
    house: Driver, box: Box, tool: Named, connect: AsyncConnect
) -> None:
    await box(
        {
            "*kitchen light?": "One moment. " + calling(tool("HassTurnOn"), name="Kitchen light"),
            "Done: Kitchen light.": "The kitchen light is on.",
        }
    )
    events = await connect.wire("edgeassist/box/event/homeassistant", PROMPTS)
    heard = await house.streamed("what about the kitchen light?", await house.pipeline(AGENT))
    await house.is_("light.kitchen", "on")
    assert reply(heard).speech == "The kitchen light is on."
    assert spoken(heard) == "One moment.The kitchen light is on."
    deltas = [each.delta for each in heard if each.delta]
    assert [delta["role"] for delta in deltas if "role" in delta] == ["assistant", "tool_result", "assistant"]
    [call] = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    assert (call["tool_name"], call["tool_args"]) == (tool("HassTurnOn"), {"name": "Kitchen light"})
    first, second = prompts(events)
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert second["tools"] == first["tools"]
    assert first["priority"] == "normal"
    assert [message.topic for message in events.heard] == [PROMPTS, PROMPTS]  # no event entity fires


async def test_a_command_is_confirmed_without_a_second_answer_and_the_next_question_knows_of_it(
    house: Driver, box: Box, tool: Named, connect: AsyncConnect
) -> None:
    told = {
        "en": ("make the kitchen bright", "Turned on the Kitchen light."),
        "de": ("mach die Küche hell", "Kitchen light eingeschaltet."),
        "zh-CN": ("厨房太暗了", "已打开Kitchen light。"),
    }
    call = calling(tool("HassTurnOn"), name="Kitchen light")
    await box({**{f"*{said}": call for said, _ in told.values()}, "*": "Ten minutes."})
    wire = await connect.wire(PROMPTS)
    for language, (said, sentence) in told.items():
        heard = await house.streamed(said, await house.pipeline(AGENT, language=language))
        assert (reply(heard).speech, spoken(heard)) == (sentence, sentence)
        assert reply(heard).kind == "action_done"
    await house.is_("light.kitchen", "on")
    assert len(prompts(wire)) == len(told)
    again = await house.say("for how long?", AGENT, conversation=reply(heard).conversation)
    assert again.speech == "Ten minutes."
    before, after = prompts(wire)[-2:]
    assert after["messages"][: len(before["messages"])] == before["messages"]
    roles = [message["role"] for message in after["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert after["messages"][4]["content"] == sentence


async def test_a_plain_command_needs_no_model_or_not_its_choice_and_what_failed_is_the_models(
    house: Driver, running: HomeAssistant, box: Box, tool: Named, connect: AsyncConnect
) -> None:
    light = "" if running.version is Version.OLDEST else "light__"
    await box(
        {
            "*kitchen light to 30%": calling(f"{light}HassLightSet", area="attic", brightness=30),
            "*lights in the living room": calling(tool("HassTurnOff"), area="Living room", domain=["light"]),
            "Error:*": "It does not play.",
            "*for how long?": "Ten minutes.",
        }
    )
    wire = await connect.wire(PROMPTS)
    done = await house.say("Turn on the kitchen light", AGENT)
    assert (done.kind, done.speech) == ("action_done", "Turned on the Kitchen light.")
    await house.is_("light.kitchen", "on")
    assert prompts(wire) == []
    # The model knows of it.
    await house.say("for how long?", AGENT, conversation=done.conversation)
    roles = [message["role"] for message in prompts(wire)[0]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    dimmed = await house.say("Dim the kitchen light to 30%", AGENT)
    assert dimmed.speech == "Set the Kitchen light to 30 %."
    await house.call("light.turn_on", "light.reading_lamp")
    assert (await house.say("turn off the lights in the living room", AGENT)).kind == "action_done"
    await house.is_("light.reading_lamp", "off")
    await house.call("media_player.media_pause", "media_player.radio")
    assert (await house.say("Pause the kitchen radio", AGENT)).speech == "It does not play."
    assert [(each.get("tool_choice"), each.get("parallel_tool_calls")) for each in prompts(wire)] == [
        (None, None),
        ({"type": "function", "function": {"name": f"{light}HassLightSet"}}, False),
        ({"type": "function", "function": {"name": tool("HassTurnOff")}}, None),
        (None, None),
    ]


async def test_the_model_has_the_last_word_where_there_may_be_more_to_say(
    house: Driver, box: Box, tool: Named
) -> None:
    kitchen, nothing = (calling(tool("HassTurnOn"), name=name) for name in ("Kitchen light", "No such light"))
    answers = {
        "turn on the kitchen light and the hall light": kitchen,
        "turn on the lights": kitchen,
        "turn on the light": f"{kitchen}\n{nothing}",
        "allume la lumière": kitchen,
    }
    await box({**{f"*{said}": answer for said, answer in answers.items()}, "*": "The model's own words."})
    for said in answers:
        language = "fr" if said.startswith("allume") else "en"
        assert (await house.say(said, AGENT, language=language)).speech == "The model's own words."
    await house.is_("light.kitchen", "on")


async def test_commands_are_confirmed_by_the_model_where_the_agent_is_set_so(
    house: Driver, box: Box, tool: Named
) -> None:
    await box({"*light on": calling(tool("HassTurnOn"), name="Kitchen light"), "*": "Aye aye!"})
    [entry] = await house.entries("edgeassist")
    subentries = await house.subentries(entry["entry_id"])
    agent = next(each["subentry_id"] for each in subentries if each["subentry_type"] == "conversation")
    flow = await house.begin_subentry(entry["entry_id"], "conversation", subentry_id=agent)
    api = next(field for field in flow["data_schema"] if field["name"] == "llm_hass_api")
    await house.submit(
        flow, confirm=False, recommended=True, llm_hass_api=api["description"]["suggested_value"]
    )
    await house.shows(AGENT, is_there)
    assert (await house.say("light on", AGENT)).speech == "Aye aye!"


async def test_thoughts_come_as_thoughts_where_they_are_wanted(house: Driver, box: Box) -> None:
    await box({"*how are you": "<think>Well?</think>Fine."})
    pipeline = await house.pipeline(AGENT)
    assert [
        e.delta for e in await house.streamed("how are you", pipeline) if "thinking_content" in e.delta
    ] == []
    [entry] = await house.entries("edgeassist")
    subentries = await house.subentries(entry["entry_id"])
    agent = next(each["subentry_id"] for each in subentries if each["subentry_type"] == "conversation")
    flow = await house.begin_subentry(entry["entry_id"], "conversation", subentry_id=agent)
    assert flow["step_id"] in {"user", "reconfigure"}
    flow = await house.submit(flow, recommended=False, prompt="Be short.")
    flow = await house.submit(flow, think="on", max_tokens=50, temperature=0)
    assert (flow["type"], flow["reason"]) == ("abort", "reconfigure_successful")
    await house.shows(AGENT, is_there)
    heard = await house.streamed("how are you", pipeline)
    assert "".join(each.delta.get("thinking_content") or "" for each in heard) == "Well?"
    assert reply(heard).speech == "Fine."


async def test_who_leaves_a_pipeline_cancels_the_answer_on_the_box(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*tell me*": LONG})
    wire = await connect.wire(CANCEL, PROMPTS)
    async with aclosing(house.run("tell me a story", await house.pipeline(AGENT))) as heard:
        async for each in heard:
            if each.delta.get("content"):
                break
    cancelled = await wire.until(lambda message: message.topic == CANCEL)
    assert json.loads(cancelled.payload) == {"request": prompts(wire)[0]["id"]}
    client = await connect()
    assert await client.wait_health(frozenset({"ready"}), AT_ONCE_S * 4)


async def test_the_prompt_of_another_satellite_begins_with_the_same_system_prompt_and_tools(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "Yes."})
    wire = await connect.wire(PROMPTS)
    pipeline = await house.pipeline(AGENT)
    for name in ("Kitchen satellite", "Bedroom satellite"):
        heard = await house.streamed("is it warm", pipeline, device=await house.device(name))
        assert reply(heard).speech == "Yes."
    assert reply(await house.streamed("is it warm", pipeline)).speech == "Yes."
    kitchen, bedroom, nowhere = prompts(wire)
    assert kitchen["tools"] == bedroom["tools"] == nowhere["tools"]
    assert [request["priority"] for request in (kitchen, bedroom, nowhere)] == ["high", "high", "normal"]
    systems = {request["messages"][0]["content"] for request in (kitchen, bedroom, nowhere)}
    assert len(systems) == 1
    [system] = systems
    assert "Kitchen light" in system
    assert "You are in area" not in system
    assert "timers" not in system
    asked = [request["messages"][1]["content"] for request in (kitchen, bedroom, nowhere)]
    assert "You are in area Kitchen" in asked[0]
    assert "You are in area Bedroom" in asked[1]
    assert "specify an area" in asked[2]
    assert all(each.endswith("\n\nis it warm") for each in asked)


async def test_home_assistant_puts_the_same_prompt_after_a_restart(
    running: HomeAssistant, house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "Yes."})
    wire = await connect.wire(PROMPTS)
    await house.say("is it warm", AGENT)
    running.stop()
    running.start()
    async with drive(running) as again:
        await again.shows(AGENT, is_there)
        assert (await again.say("is it warm", AGENT)).speech == "Yes."
        for entry in await again.entries("edgeassist"):
            await again.remove(entry["entry_id"])
    before, after = prompts(wire)
    if running.version is Version.OLDEST:
        # Aliases are sets there, and come in another order with each start.
        words = [
            sorted(request["messages"][0]["content"].replace(",", " ").split()) for request in (before, after)
        ]
        assert words[0] == words[1]
    else:
        assert after["messages"] == before["messages"]
    for was, now in zip(before["tools"], after["tools"], strict=True):
        assert now == was


async def test_every_tool_of_a_home_is_one_that_the_box_enforces(
    house: Driver, box: Box, tool: Named, connect: AsyncConnect
) -> None:
    await box({"*": "Yes."})
    wire = await connect.wire(PROMPTS)
    await house.say("is it warm", AGENT)
    tools = prompts(wire)[0]["tools"]
    names = [each["function"]["name"] for each in tools]
    assert len(names) > 10
    assert names[:2] == [tool("HassTurnOn"), tool("HassTurnOff")]
    assert names[-1] == tool("HassCancelAllTimers")
    for form in FORMS.values():
        compile_ = compiler(form, control=True)
        for each in tools:
            function = each["function"]
            parameters = json.dumps(function["parameters"])
            compile_.calls(
                Tools((Tool(function["name"], function.get("description", ""), parameters),)), form
            )


async def test_a_conversation_goes_on_with_what_was_said_as_it_was_written(
    house: Driver, box: Box, tool: Named, connect: AsyncConnect
) -> None:
    await box(
        {
            "*light is off": calling(tool("HassTurnOn"), name="Kitchen light", area=""),
            "Done: Kitchen light.": "It is on. More?",
            "*and now": "Nothing.",
        }
    )
    wire = await connect.wire(PROMPTS)
    first = await house.say("the light is off", AGENT)
    assert first.goes_on
    again = await house.say("and now", AGENT, conversation=first.conversation)
    assert again.speech == "Nothing."
    before, after = prompts(wire)[1:]
    assert after["messages"][: len(before["messages"])] == before["messages"]
    roles = [message["role"] for message in after["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    [call] = after["messages"][2]["tool_calls"]
    # As it was written, with the argument that Home Assistant was not told of.
    assert json.loads(call["function"]["arguments"]) == {"name": "Kitchen light", "area": ""}
    assert after["messages"][3]["tool_call_id"] == call["id"]


async def test_a_model_that_calls_without_end_has_to_say_something_in_the_tenth_round(
    house: Driver, box: Box, tool: Named, connect: AsyncConnect
) -> None:
    names = [toy.name for toy in ORDINARY.toys if toy.entity.startswith(("light.", "switch.", "fan."))]
    asked = ["*switch all of them on", *(f"Done: {name}." for name in names[:-1])]
    await box(
        {
            question: calling(tool("HassTurnOn"), name=name)
            for question, name in zip(asked, names, strict=True)
        }
    )
    wire = await connect.wire(PROMPTS)
    assert (await house.say("switch all of them on", AGENT)).kind != "error"
    assert len(names) == 9
    for name in ("light.kitchen", "fan.bathroom"):
        await house.is_(name, "on")
    assert [request.get("tool_choice") for request in prompts(wire)] == [None] * 9 + ["none"]


async def test_a_call_that_comes_again_ends_the_answer_and_then_the_turn(
    house: Driver, box: Box, tool: Named, connect: AsyncConnect
) -> None:
    call = calling(tool("HassTurnOn"), name="No such light")
    other = calling(tool("HassTurnOn"), name="Hall light")
    await box({"*": f"{call}\n{other}\n{call}\n{other}\n" * 20})
    wire = await connect.wire(PROMPTS, CANCEL)
    answered = await house.say("make some light", AGENT)
    await house.is_("light.hall", "on")
    asked = prompts(wire)
    assert [request.get("tool_choice") for request in asked] == [None, None, "none"]
    assert answered.speech == "Turned on the Hall light. I found nothing in the home that matches."
    [answer] = [message for message in asked[-1]["messages"] if message.get("tool_calls")]
    assert len(answer["tool_calls"]) == 2
    await wire.until(lambda _: [message.topic for message in wire.heard].count(CANCEL) == 3)


async def test_a_tool_that_fails_is_told_to_the_model(house: Driver, box: Box, tool: Named) -> None:
    await box(
        {"*light on": calling(tool("HassTurnOn"), name="No such light"), "Error:*": "There is no such light."}
    )
    assert (await house.say("light on", AGENT)).speech == "There is no such light."


async def test_a_box_that_is_away_is_said_to_be_at_once(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    daemon = await box({"*": "Yes."})
    wire = await connect.wire(PROMPTS)
    daemon.stop()
    await house.shows(AGENT, is_away)
    pipeline = await house.pipeline(AGENT)
    for language, words in (("en", "The box box is offline."), ("fr", "The box box is offline.")):
        answer = await house.say("is it warm", AGENT, language=language)
        assert (answer.kind, answer.code, answer.speech) == ("error", "failed_to_handle", words)
    heard = await house.streamed("is it warm", pipeline)
    ended = next(each for each in heard if each.kind == "intent-end")
    assert ended.after_s < AT_ONCE_S
    assert reply(heard).speech == "The box box is offline."
    assert prompts(wire) == []
    daemon.start()
    await house.shows(AGENT, is_there)
    assert (await house.say("is it warm", AGENT)).speech == "Yes."


async def test_a_broker_that_is_away_is_said_to_be_and_the_agent_is_back_with_it(
    house: Driver, running: HomeAssistant, box: Box, broker: PrivateBroker
) -> None:
    # It says its birth to a broker that has gone again, and nobody hears of it.
    running.silent += ["components.mqtt", "paho.mqtt", "Task exception was never retrieved"]
    await box({"*": "Yes."})
    broker.stop()
    await house.shows(AGENT, is_away)
    answer = await house.say("is it warm", AGENT)
    assert answer.kind == "error"
    assert "MQTT broker" in answer.speech
    broker.start()
    await house.shows(AGENT, is_there)
    assert (await house.say("is it warm", AGENT)).speech == "Yes."


async def test_a_box_that_dies_while_it_answers_answers_again_when_it_is_back(
    house: Driver, box: Box, tool: Named, connect: AsyncConnect
) -> None:
    daemon = await box({"*tell me": "!script delay_ms=20\n" + "Once upon a time there was a lamp. " * 8})
    wire = await connect.wire("edgeassist/box/reply/ha-test/+")
    pipeline = await house.pipeline(AGENT)
    restarted = False
    async with aclosing(house.run("tell me", pipeline)) as heard:
        events = []
        async for each in heard:
            events.append(each)
            if each.delta.get("content") and not restarted:
                restarted = True
                daemon.stop(SIGKILL)
                daemon.start()
    assert reply(events).speech.count("Once upon a time") == 8
    assert spoken(events) == reply(events).speech
    assert wire.heard


async def test_what_a_restart_of_the_box_interrupted_is_asked_again(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*tell me": "!script delay_ms=20\n" + "Once upon a time there was a lamp. " * 8})
    wire = await connect.wire(PROMPTS)
    pipeline = await house.pipeline(AGENT)
    interrupted = False
    async with aclosing(house.run("tell me", pipeline)) as heard:
        events = []
        async for each in heard:
            events.append(each)
            if each.delta.get("content") and not interrupted:
                interrupted = True
                [asked] = prompts(wire)
                end = Failed(
                    id=asked["id"], seq=99, code=Code.INTERRUPTED, message="no", retryable=True, device="box"
                )
                wire.say(f"edgeassist/box/reply/ha-test/{asked['id']}", end.payload(), qos=1)
    assert reply(events).speech.count("Once upon a time") == 8
    first, second = prompts(wire)
    assert first == second


async def test_a_context_that_is_too_small_is_said_with_what_it_would_take(house: Driver, box: Box) -> None:
    await box(model__context=512)
    answer = await house.say("is it warm", AGENT)
    assert answer.kind == "error"
    assert "512" in answer.speech
    assert "model.context" in answer.speech


async def test_a_long_conversation_goes_on_without_its_beginning(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "Yes. " * 300}, model__context=2048)
    wire = await connect.wire(PROMPTS)
    conversation = None
    for _ in range(8):
        answer = await house.say("again, please", AGENT, conversation=conversation)
        assert answer.kind != "error", answer
        conversation = answer.conversation
    asked = [sum(m["role"] == "user" for m in request["messages"]) for request in prompts(wire)]
    assert max(asked) > asked[-1]


async def as_info(wire: Wire, change: Callable[[dict[str, Any]], None]) -> None:
    """Say another `info` of the box, as if another daemon did."""
    said = await wire.until(lambda message: message.topic == "edgeassist/box/info")
    document = json.loads(said.payload)
    change(document)
    wire.say("edgeassist/box/info", json.dumps(document), qos=1, retain=True)


async def test_a_model_without_tools_is_said_to_be_one(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "Yes."})
    wire = await connect.wire("edgeassist/box/info", PROMPTS)

    def change(info: dict[str, Any]) -> None:
        info["model"]["name"] = "Parrot"
        fields = info["capabilities"]["fields"]
        info["capabilities"]["fields"] = [each for each in fields if not each.startswith("tool")]

    await as_info(wire, change)
    issue = None
    while issue is None:
        answer = await house.say("is it warm", AGENT)
        issue = answer if "Parrot" in answer.speech else None
    assert answer.kind == "error"


async def test_a_protocol_of_another_version_is_said_to_be_one(
    house: Driver, box: Box, connect: AsyncConnect
) -> None:
    await box({"*": "Yes."})
    wire = await connect.wire("edgeassist/box/info")
    await as_info(wire, lambda info: info.update(protocol=2))
    await house.shows(AGENT, is_away)
    answer = await house.say("is it warm", AGENT)
    assert answer.kind == "error"
    assert "version 2" in answer.speech
