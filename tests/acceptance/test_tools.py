"""Tools, as a program, a microcontroller and a person at a terminal see them: over a real broker."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeassist.client import Called, Client, Done, InvalidRequestError, ToolCall, tool
from edgeassist.client.result import Answer
from edgeassist.sandbox import HOST
from edgeassist.testing import ScriptedDevice, calling, script
from tests import preloaded
from tests.conftest import Wire
from tests.small_client import BUFFER_BYTES, SmallClient

SCHEMA = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
RELAY = tool("set_relay", "Switches the relay.", SCHEMA)
SAY = tool("say", "Says something.", {"type": "object", "properties": {"text": {"type": "string"}}})
LONG = 'Sag "厨房"\n' * 30
ANSWERS = {
    "Light*": calling("set_relay", on=True),
    "Both*": "I do." + calling("set_relay", on=True) + "\n" + calling("say", text=LONG),
    "It is on*": "The relay is on.",
    "Slow*": script(calling("set_relay", on=True) + " And so on and on.", delay_ms=20, repeat=1),
}


@pytest.fixture(scope="module")
def device() -> Iterator[ScriptedDevice]:
    with ScriptedDevice(ANSWERS, name="box", stream__interval_ms=0) as device:
        yield device


@pytest.fixture
def client(device: ScriptedDevice) -> Iterator[Client]:
    with device.client() as client:
        yield client


def carry_out(call: ToolCall) -> dict[str, Any]:
    """Return what came of a call, as a message."""
    return call.result(f"It is {'on' if call.arguments.get('on') else 'off'}")


def test_a_program_calls_until_the_model_has_no_more_to_call(client: Client) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Light, please"}]
    calls: list[ToolCall] = []
    while (answer := client.ask(messages=messages, tools=[RELAY])).tool_calls:
        assert (answer.finish_reason, answer.text) == ("tool_calls", "")
        calls += answer.tool_calls
        messages += [answer.message(), *map(carry_out, answer.tool_calls)]
    assert [(call.name, call.arguments) for call in calls] == [("set_relay", {"on": True})]
    assert (answer.text, answer.finish_reason) == ("The relay is on.", "stop")


def test_a_session_takes_the_results_alone(client: Client) -> None:
    def ask(**fields: Any) -> Answer:
        return client.ask(**fields, tools=[RELAY, SAY], session="evening")

    answer = ask(prompt="Both, please")
    one, two = answer.tool_calls
    assert two.arguments == {"text": LONG}
    with pytest.raises(InvalidRequestError, match=rf"a result is missing, of {two.id} \(say\)"):
        ask(messages=[one.result("It is on")])
    answer = ask(messages=[one.result("It is on"), two.result("It is on its way")])
    assert answer.text == "The relay is on."
    with pytest.raises(InvalidRequestError, match="it called nothing, or has the results already"):
        ask(messages=[one.result("It is on")])
    assert ask(prompt="And now?").text == "And now?"


def test_the_user_may_go_on_instead_of_results(client: Client) -> None:
    assert client.ask("Light", tools=[RELAY], session="night").tool_calls
    assert client.ask("Never mind", session="night").text == "Never mind"


def test_calls_are_events_as_soon_as_they_are_complete(client: Client) -> None:
    with client.stream("Slow", tools=[RELAY]) as stream:
        events = stream.events()
        first = next(event for event in events if isinstance(event, Called))
        assert (first.name, first.arguments, stream.text) == ("set_relay", '{"on": true}', "")
        rest = list(events)
        assert stream.result().tool_calls == stream.tool_calls
    assert [call.id for call in stream.tool_calls] == [first.tool_call_id]
    assert isinstance(rest[-1], Done)
    assert [call.id for call in rest[-1].tool_calls] == [first.tool_call_id]


def test_who_offers_no_tools_gets_no_calls(client: Client) -> None:
    assert "<tool_call>" in client.ask("Light").text
    unwanted = client.ask("Light", tools=[RELAY], tool_choice="none")
    assert (unwanted.tool_calls, unwanted.finish_reason) == ((), "stop")


def test_a_device_says_that_it_takes_tools(client: Client) -> None:
    capabilities = client.info()["capabilities"]
    assert {"tools", "tool_choice", "parallel_tool_calls"} <= set(capabilities["fields"])
    assert "tool_call" in capabilities["events"]


async def test_a_repeat_of_a_request_gets_its_calls_once_more(device: ScriptedDevice) -> None:
    asked = json.dumps({"id": "twice", "prompt": "Both", "tools": [RELAY, SAY], "reply_to": "reply/twice"})
    async with Wire(device.port, ("reply/twice",)) as wire:
        wire.say(device.topics.prompt(), asked)
        first = await wire.answer()
        del wire.heard[:]
        wire.say(device.topics.prompt(), asked)
        assert await wire.answer() == {**first, "repeat": True}
    assert len(first["tool_calls"]) == 2


# --- a microcontroller -------------------------------------------------------------------------------------


@pytest.fixture
async def esp32(device: ScriptedDevice) -> AsyncIterator[SmallClient]:
    async with SmallClient(device.port, "esp", "reply/esp") as small:
        yield small
        assert small.dropped == []


async def ask(small: SmallClient, device: ScriptedDevice, **fields: Any) -> list[dict[str, Any]]:
    """Ask for that client, whose buffer a request may be too large for; return the events that it hears."""
    asked = {"reply_to": "reply/esp", "max_packet": BUFFER_BYTES, **fields}
    async with Wire(device.port, ()) as wire:
        wire.say(device.topics.prompt("esp"), json.dumps(asked))
        await small.end(fields["id"])
    return [event for event in small.events if event["id"] == fields["id"]]


async def test_an_esp32_gets_one_event_of_a_call_and_the_end(
    device: ScriptedDevice, esp32: SmallClient
) -> None:
    asked = {"id": "1", "reply_to": "reply/esp", "max_packet": 256, "stream": False, "prompt": "Light?",
             "tools": [{"type": "function", "function": {"name": "set_relay"}}]}  # fmt: skip
    # It says that itself: all of it fits into its buffer.
    esp32.say(device.topics.prompt("esp"), json.dumps(asked, separators=(",", ":")).encode())
    await esp32.end("1")
    call, end = esp32.events
    assert (call["type"], call["name"], call["arguments"]) == ("tool_call", "set_relay", '{"on": true}')
    assert (end["type"], end["finish_reason"], "tool_calls" in end) == ("done", "tool_calls", False)


@pytest.mark.parametrize("fields", [{}, {"stream": False}, {"end": "short"}])
async def test_long_arguments_come_in_pieces_that_fit(
    device: ScriptedDevice, esp32: SmallClient, fields: dict[str, Any]
) -> None:
    events = await ask(esp32, device, id="2", prompt="Both", tools=[RELAY, SAY], **fields)
    assert [event["seq"] for event in events] == list(range(len(events)))
    calls = [event for event in events if event["type"] == "tool_call"]
    assert [event.get("name") for event in calls] == ["set_relay", "say", *[None] * (len(calls) - 2)]
    assert [event["index"] for event in calls] == [0, *[1] * (len(calls) - 1)]
    assert [event.get("more") for event in calls] == [None, *[True] * (len(calls) - 2), None]
    said = "".join(event["arguments"] for event in calls[1:])
    assert json.loads(said) == {"text": LONG}
    assert "".join(event["text"] for event in events if event["type"] == "chunk").strip() == "I do."


# --- a person ----------------------------------------------------------------------------------------------


def run(device: ScriptedDevice, *arguments: str) -> tuple[int, str, str]:
    """Run `edgeassist ask`; return its exit status, and what it printed."""
    environ = {
        **os.environ,
        "EDGEASSIST_DEVICE__NAME": device.name,
        "EDGEASSIST_MQTT__HOST": HOST,
        "EDGEASSIST_MQTT__PORT": str(device.port),
    }
    ended = preloaded.run("ask", *arguments, environ=environ)
    return ended.returncode, ended.stdout, ended.stderr


async def test_a_person_sees_calls_on_lines_of_their_own(device: ScriptedDevice, tmp_path: Path) -> None:
    one, more = tmp_path / "relay.json", tmp_path / "more.json"
    one.write_text(json.dumps(RELAY))
    more.write_text(json.dumps([SAY]))
    files = ("--tool", str(one), "--tool", str(more))
    whole, calls, json_lines, cut, wrong = await asyncio.gather(
        *(
            asyncio.to_thread(run, device, *arguments)
            for arguments in (
                (*files, "Both"),
                (*files, "--tool-choice", "set_relay", "Light"),
                (*files, "--json", "Light"),
                (*files, "--max-tokens", "3", "Light"),
                (*files, "--tool-choice", "beep", "Light"),
            )
        )
    )
    text = json.dumps({"text": LONG}, ensure_ascii=False)
    assert whole == (0, f'I do.\nset_relay {{"on": true}}\nsay {text}\n', "")
    assert calls == (0, 'set_relay {"on": true}\n', "")
    events = [json.loads(line) for line in json_lines[1].splitlines()]
    assert [event["name"] for event in events if event["type"] == "tool_call"] == ["set_relay"]
    assert (cut[0], "--max-tokens" in cut[2]) == (1, True)
    assert (wrong[0], "--tool-choice: 'beep' is none of the tools, set_relay, say" in wrong[2]) == (2, True)
