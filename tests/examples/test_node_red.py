"""examples/node-red in a real Node-RED, against a real Mosquitto and daemon."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import HOST, PrivateBroker
from edgeassist.testing import calling
from tests.conftest import AsyncConnect, StartDaemon, StartReady
from tests.examples.node_red import Node, NodeRed, UnavailableError, installed

# The first of these tests installs Node-RED.
pytestmark = pytest.mark.timeout(900)

FLOW = Path(__file__).parents[2] / "examples" / "node-red" / "flow.json"
ROOT = "edgeassist/box"
LIGHT = "zigbee2mqtt/kitchen_light/set"
SLOWLY = "!script repeat=8 delay_ms=100\n"
# A flow as a user's, which asks by a link call.
USERS: list[Node] = [
    {"id": "u0", "type": "tab", "label": "A flow that asks"},
    {"id": "u1", "type": "http in", "z": "u0", "url": "/ask", "method": "post", "wires": [["u2"]]},
    {
        "id": "u2",
        "type": "function",
        "z": "u0",
        "func": "return Object.assign(msg, msg.payload);",
        "outputs": 1,
        "wires": [["u3"]],
    },
    {"id": "u3", "type": "link call", "z": "u0", "linkType": "static", "timeout": "120", "wires": [["u4"]]},
    {
        "id": "u4",
        "type": "function",
        "z": "u0",
        "func": "msg.payload = { text: msg.payload, code: msg.error?.code, end: msg.answer?.type };\n"
        "return msg;",
        "outputs": 1,
        "wires": [["u5"]],
    },
    {"id": "u5", "type": "http response", "z": "u0", "wires": []},
]
# Another, whose answers are bound as docs/structured-answers.md says.
DOCUMENT = (FLOW.parents[2] / "docs" / "structured-answers.md").read_text()
BEFORE, AFTER = re.findall(r"^```js\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
BOUND: list[Node] = [
    {"id": "b0", "type": "tab", "label": "A flow that asks for JSON"},
    {"id": "b1", "type": "http in", "z": "b0", "url": "/json", "method": "post", "wires": [["b2"]]},
    {"id": "b2", "type": "function", "z": "b0", "outputs": 1,
     "func": "msg.payload = msg.payload.said;\n" + BEFORE, "wires": [["b3"]]},
    {"id": "b3", "type": "link call", "z": "b0", "linkType": "static", "timeout": "120", "wires": [["b4"]]},
    {"id": "b4", "type": "function", "z": "b0", "func": AFTER, "outputs": 1, "wires": [["b5"]]},
    {"id": "b5", "type": "change", "z": "b0", "wires": [["b6"]],
     "rules": [{"t": "set", "p": "payload", "pt": "msg", "to": "payload.room", "tot": "msg"}]},
    {"id": "b6", "type": "http response", "z": "b0", "wires": []},
]  # fmt: skip
# And one that offers tools, as docs/tools.md says.
OFFER, TAKE = re.findall(
    r"^```js\n(.*?)^```",
    (FLOW.parents[2] / "docs" / "tools.md").read_text(),
    re.MULTILINE | re.DOTALL,
)
CALLING: list[Node] = [
    {"id": "c0", "type": "tab", "label": "A flow that offers tools"},
    {"id": "c1", "type": "http in", "z": "c0", "url": "/calls", "method": "post", "wires": [["c2"]]},
    {"id": "c2", "type": "function", "z": "c0", "outputs": 1,
     "func": "msg.payload = msg.payload.said;\n" + OFFER, "wires": [["c3"]]},
    {"id": "c3", "type": "link call", "z": "c0", "linkType": "static", "timeout": "120", "wires": [["c4"]]},
    {"id": "c4", "type": "function", "z": "c0", "func": TAKE, "outputs": 1, "wires": [["c5"]]},
    {"id": "c5", "type": "switch", "z": "c0", "property": "topic", "propertyType": "msg", "outputs": 2,
     "rules": [{"t": "eq", "v": "set_relay", "vt": "str"}, {"t": "else"}], "checkall": "false",
     "wires": [["c6"], []]},
    {"id": "c6", "type": "http response", "z": "c0", "wires": []},
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flow:
    """The example in a running Node-RED, with a user's flow beside it."""

    node_red: NodeRed
    nodes: list[Node]

    async def ask(self, payload: str | dict[str, Any], limit: float = 60) -> dict[str, Any]:
        """Ask through the user's flow, and return what it got: text, code or end."""
        answer = await self.node_red.post("/ask", {"payload": payload, "limit": limit})
        return dict(answer.json())

    async def press(self, name: str, **props: Any) -> None:
        inject = next(node for node in self.nodes if node["type"] == "inject" and node["name"] == name)
        await self.node_red.press(inject, **props)

    def shown(self, name: str) -> list[str]:
        """Return what the debug node of that name has shown."""
        return re.findall(rf"\[debug:{name}\] (.*)", self.node_red.log.read_text())

    async def shows(self, name: str, text: str) -> None:
        await self.node_red.says(f"[debug:{name}] {text}")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """One for all tests here, because Node-RED is."""
    with PrivateBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


def as_a_user_changes_it(flow: list[Node], port: int, protocol: str) -> list[Node]:
    """Return it as README.md says: the tab's variable, and the broker. Debug nodes also write to the log."""
    for node in flow:
        match node["type"]:
            case "tab":
                assert node["env"][0]["name"] == "EDGEASSIST"
                node["env"][0]["value"] = ROOT
            case "mqtt-broker":
                node |= {"broker": HOST, "port": port, "protocolVersion": protocol}
            case "debug":
                node["console"] = True
    return flow


on_both_protocols = pytest.mark.parametrize(
    "started", ["5", "4"], indirect=True, ids=["MQTT 5", "MQTT 3.1.1"], scope="module"
)


@pytest.fixture(scope="module")
def started(
    request: pytest.FixtureRequest, broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flow]:
    try:
        installed()
    except UnavailableError as error:
        pytest.skip(f"Node-RED can't be installed here: {error}")
    nodes = as_a_user_changes_it(json.loads(FLOW.read_text()), broker.port, getattr(request, "param", "5"))
    target = next(node["id"] for node in nodes if node.get("name") == "ask EdgeAssist")
    users = [
        {**node, "links": [target]} if node["type"] == "link call" else node
        for node in [*USERS, *BOUND, *CALLING]
    ]
    with NodeRed(tmp_path_factory.mktemp("node-red"), [*nodes, *users]) as node_red:
        yield Flow(node_red, nodes)


@pytest.fixture
async def flow(started: Flow) -> AsyncIterator[Flow]:
    await started.node_red.ready()
    yield started
    log = started.node_red.log.read_text()
    assert "[debug:fault]" not in log, log
    assert not re.search(r"\[(warn|error)\] \[(?!mqtt-broker:)", log), log


@on_both_protocols
async def test_the_text_grows_while_it_is_answered(ready: StartReady, flow: Flow) -> None:
    await ready()
    before = len(flow.shown("as it grows"))
    answer = await flow.ask(SLOWLY + "slowly ")
    assert answer == {"text": "slowly " * 8, "end": "done"}
    grown = flow.shown("as it grows")[before:]
    assert len(grown) > 1
    assert all(long.startswith(short) for short, long in pairwise(grown))


async def test_json_of_a_schema_comes_into_a_flow_as_an_object(
    ready: StartReady, flow: Flow, connect: AsyncConnect, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"close the blinds": '{"device":"blinds","room":"bedroom","percent":0}'}))
    await ready(model__backend="scripted", model__path=answers)
    wire = await connect.wire(f"{ROOT}/prompt/#")
    answer = await flow.node_red.post("/json", {"said": "close the blinds"})
    assert answer.text == "bedroom"
    asked = json.loads((await wire.until(lambda _: True)).payload)
    assert list(asked["json_schema"]["properties"]) == ["device", "room", "percent"]


async def test_calls_come_into_a_flow_as_messages(
    ready: StartReady, flow: Flow, connect: AsyncConnect, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.json"
    calls = calling("nothing") + calling("set_relay", relay="porch", on=True)
    answers.write_text(json.dumps({"it is dark": calls}))
    await ready(model__backend="scripted", model__path=answers)
    wire = await connect.wire(f"{ROOT}/prompt/#")
    answer = await flow.node_red.post("/calls", {"said": "it is dark"})
    assert answer.json() == {"relay": "porch", "on": True}
    asked = json.loads((await wire.until(lambda _: True)).payload)
    assert [each["function"]["name"] for each in asked["tools"]] == ["set_relay", "nothing"]


async def test_a_refusal_is_told_from_an_answer(ready: StartReady, flow: Flow) -> None:
    await ready()
    answer = await flow.ask({"prompt": "Hello", "max_tokens": "five"})
    assert answer == {"text": "", "code": "invalid_request"}


async def test_a_time_limit_ends_a_question_with_what_there_is(ready: StartReady, flow: Flow) -> None:
    await ready()
    answer = await flow.ask("!script repeat=400 delay_ms=500\nslowly ", limit=5)
    assert answer["code"] == "deadline_exceeded"
    assert answer["text"].startswith("slowly")


async def test_a_question_to_a_device_that_is_away_ends_too(flow: Flow) -> None:
    assert await flow.ask("Hello", limit=1) == {"text": "", "code": "no_answer"}


async def test_a_question_waits_until_the_device_is_there(
    flow: Flow, connect: AsyncConnect, daemon: StartDaemon
) -> None:
    wire = await connect.wire(f"{ROOT}/prompt/#")
    asked = asyncio.create_task(flow.ask("Hello"))
    await wire.until(lambda message: message.topic.endswith("prompt/node-red"))
    daemon()
    assert await asked == {"text": "Hello", "end": "done"}


async def test_a_broker_that_restarts_costs_no_answer_and_no_question_runs_twice(
    ready: StartReady, flow: Flow, broker: PrivateBroker, connect: AsyncConnect
) -> None:
    await ready(daemon__telemetry_s=1)
    wire = await connect.wire(f"{ROOT}/#")
    asked = asyncio.create_task(flow.ask(SLOWLY + "slowly "))
    await wire.until(lambda message: b'"running":1' in message.payload)
    broker.stop()
    meanwhile = asyncio.create_task(flow.ask("meanwhile"))
    broker.start()
    assert await asked == {"text": "slowly " * 8, "end": "done"}
    assert await meanwhile == {"text": "meanwhile", "end": "done"}
    wire.heard.clear()
    told = await wire.until(lambda message: message.topic == f"{ROOT}/telemetry" and not message.retained)
    # Of four bytes each: what was computed, and that only once.
    assert json.loads(told.payload)["completion_tokens"] == 14 + 3


async def test_a_device_that_restarts_answers_what_it_was_asked_before(
    ready: StartReady, flow: Flow, daemon: StartDaemon, connect: AsyncConnect
) -> None:
    process, _ = await ready()
    wire = await connect.wire(f"{ROOT}/#")
    asked = asyncio.create_task(flow.ask(SLOWLY + "slowly "))
    await wire.until(lambda message: b'"chunk"' in message.payload)
    process.stop()
    daemon()
    assert await asked == {"text": "slowly " * 8, "end": "done"}


async def test_a_burst_waits_for_its_turn(ready: StartReady, flow: Flow) -> None:
    await ready(admission__per_client=2)
    asked = [flow.ask(f"!script delay_ms=50\nquestion {number}") for number in range(6)]
    assert [answer["text"] for answer in await asyncio.gather(*asked)] == [
        f"question {number}" for number in range(6)
    ]


@on_both_protocols
async def test_more_questions_than_it_keeps_are_refused_at_once(ready: StartReady, flow: Flow) -> None:
    await ready()
    slow = [asyncio.create_task(flow.ask("!script repeat=400 delay_ms=50\nslowly ")) for _ in range(20)]
    first, _ = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result()["code"] for task in first} == {"busy"}
    await flow.press("Cancel")
    ends = [answer["code"] for answer in await asyncio.gather(*slow)]
    assert (ends.count("busy"), ends.count("cancelled")) == (4, 16)


async def test_an_action_switches_a_light_on_the_list_once_and_no_other(
    ready: StartReady, flow: Flow, connect: AsyncConnect
) -> None:
    await ready(model__path="builtin:tiny")
    wire = await connect.wire("zigbee2mqtt/#", f"{ROOT}/reply/#")
    button = "Turn the kitchen lights down to 30 percent"
    await flow.press(button)
    heard = await wire.until(lambda message: message.topic == LIGHT)
    assert json.loads(heard.payload) == {"brightness": 76}
    # The end once more, as QoS 1 may deliver it.
    end = await wire.until(lambda message: b'"done"' in message.payload)
    wire.say(end.topic, end.payload, qos=1)
    await flow.press(button, payload="turn off the bathroom light", limit=10)
    await flow.shows("said, or not switched", "I may not do that")
    await flow.press(button, payload="what can you do", limit=10)
    await flow.shows("said, or not switched", "I can control lights")
    await flow.press(button, payload="Turn on the kitchen light", limit=10)
    await wire.until(lambda message: b"ON" in message.payload)
    await flow.press(button, payload="Turn off the kitchen light", limit=10)
    await wire.until(lambda message: b"OFF" in message.payload)
    switched = [json.loads(message.payload) for message in wire.heard if "zigbee2mqtt" in message.topic]
    assert switched == [{"brightness": 76}, {"state": "ON"}, {"state": "OFF"}]


async def test_the_first_button_answers_from_a_sensor(ready: StartReady, flow: Flow) -> None:
    await ready(model__path="builtin:tiny")
    await flow.press("How warm is the nursery?")
    await flow.shows("answer", "The nursery temperature is 19.5")
