"""Boxes behind one topic: as processes, at a real broker, with load. The third one speaks MQTT 3.1.1."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeassist.client.requester import Requester
from edgeassist.fleet.envelope import open_envelope
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.sandbox import HOST
from tests.conftest import expect_done, options_for
from tests.integration.fleet import TOPICS, FleetHouse, Watcher, spread
from tests.patience import PATIENCE_S

NAMES = ("a", "b", "c")
# Some time for each answer, so that boxes have something to do.
SLOW = "!script delay_ms=12\n" + "word " * 20
ANSWER = "word " * 20

_numbers = count(1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHouse]:
    """Three boxes; a test that ends one starts it again."""
    # With a fixed number of threads none is held back because the tests keep this machine busy.
    with FleetHouse(tmp_path_factory.mktemp("fleet"), engine__threads=1) as running:
        for name in NAMES:
            running.box(name, mqtt__protocol="3.1.1" if name == "c" else "5", mqtt__keepalive_s=5)
        yield running


@pytest.fixture
async def client(house: FleetHouse) -> AsyncIterator[Watcher]:
    """A client, once all boxes take requests."""
    async with AsyncExitStack() as stack:
        watcher = await house.watcher(stack)
        await watcher.online(*NAMES)
        yield watcher


def new() -> str:
    return f"r{next(_numbers)}"


def ask_many(watcher: Watcher, number: int, prompt: str = SLOW, **fields: Any) -> list[str]:
    return [watcher.ask(new(), prompt, **fields) for _ in range(number)]


async def until_some_ended(client: Watcher, names: list[str], number: int = 1) -> None:
    await client.until(lambda: sum(bool(client.ends(name)) for name in names) >= number)


def call(port: int, topic: str, payload: str, response_topic: str) -> None:
    """Give a command with a Response Topic."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = response_topic
    caller = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    caller.connect(HOST, port)
    caller.loop_start()
    caller.publish(topic, payload, 1, properties=properties).wait_for_publish(PATIENCE_S)
    caller.disconnect()
    caller.loop_stop()


def begun_by(client: Watcher, names: list[str], device: str) -> list[str]:
    """Return what that box answers, and has not ended."""
    return [
        name
        for name in names
        if client.events[name][-1:]
        and client.events[name][-1]["type"] == "chunk"
        and [each["device"] for each in client.events[name] if each["type"] == "accepted"][-1] == device
    ]


# --- a fleet that stays as it is ---------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_clients_ask_the_fleet_is_answered_once_by_one_of_its_boxes(
    house: FleetHouse, client: Watcher, protocol: str
) -> None:
    async with AsyncExitStack() as stack:
        asking = await house.watcher(stack, protocol=protocol)
        names = ask_many(asking, 18)
        ends = await asking.all_ends(names)
        assert {end["text"] for end in ends} == {ANSWER}
        assert set(spread(ends)) == set(NAMES)
        assert [len(asking.ends(name)) for name in names] == [1] * len(names)
        accepted = [sum(event["type"] == "accepted" for event in asking.events[name]) for name in names]
        assert max(accepted) <= 3  # it does not go round
        for name in names:
            last = [event["seq"] for event in asking.events[name]][-1]
            heard = [event["seq"] for event in asking.events[name] if event["type"] != "accepted"]
            assert heard == list(range(1, last + 1))
            assert asking.events[name][0]["topic"] == TOPICS.reply(name)


async def test_a_box_that_can_t_start_it_hands_it_to_one_that_can(client: Watcher) -> None:
    long = [client.ask(new(), "!script delay_ms=20\n" + "word " * 400) for _ in range(2)]
    short = ask_many(client, 12)
    await client.all_ends(short)
    assert not any(client.ends(name) for name in long)
    handed = {open_envelope(each.payload).id for each in client.handed}
    assert handed & set(short)
    for name in long:
        client.say(TOPICS.cancel(), name)
    await client.all_ends(long)


async def test_what_a_client_said_with_its_request_arrives_wherever_that_is_answered(
    house: FleetHouse, client: Watcher
) -> None:
    names = ask_many(client, 12)
    text = new()
    client.ask(text, "Hello", reply_to=f"reply/{text}", format="text", client="k")
    one = new()
    client.ask(one, SLOW, client="k", metadata={"room": 3}, stream=False, priority="high")
    end = await client.end(one)
    assert (end["metadata"], end["topic"]) == ({"room": 3}, TOPICS.reply(one, "k"))
    assert (await client.end(text))["topic"] == f"reply/{text}/end"
    await client.all_ends(names)


async def test_a_bare_prompt_keeps_the_id_that_was_made_up_for_it(client: Watcher) -> None:
    names = ask_many(client, 12)
    for number in range(6):
        client.say(TOPICS.prompt(), f"bare {number}")
    await client.until(lambda: sum(bool(client.ends(each)) for each in client.events) == len(names) + 6)
    bare = set(client.events) - set(names)
    assert {client.ends(each)[0]["text"] for each in bare} == {f"bare {number}" for number in range(6)}
    await client.all_ends(names)


async def test_a_cancel_reaches_the_box_that_has_the_request(house: FleetHouse, client: Watcher) -> None:
    names = ask_many(client, 12, client="k")
    accepted = await client.until(lambda: client.first(names[-1], "accepted"))
    assert accepted["cancel"] == TOPICS.cancel("k")
    client.say(TOPICS.cancel("h"), json.dumps({"request": names[-1]}))
    place = TOPICS.reply("cancelled", "k")
    command = json.dumps({"request": names[-1], "id": "mine"})
    await asyncio.to_thread(call, house.broker.port, accepted["cancel"], command, place)
    assert (await client.end(names[-1]))["code"] == "cancelled"
    await client.until(lambda: client.responses)
    [response] = client.responses
    # To a box that speaks MQTT 3.1.1 no broker tells a Response Topic.
    had = {event["device"] for event in client.events[names[-1]] if event["type"] == "accepted"}
    assert (response["id"], response["topic"] == place or "c" in had) == ("mine", True)
    client.say(TOPICS.cancel("k"), "all")
    ends = await client.all_ends(names)
    assert "cancelled" in {end.get("code") for end in ends}
    assert [len(client.ends(name)) for name in names] == [1] * len(names)
    # It holds for what was asked before, not for what comes.
    assert {end["type"] for end in await client.all_ends(ask_many(client, 12, client="k"))} == {"done"}


async def test_a_repeat_finds_the_box_that_has_or_had_the_request(client: Watcher) -> None:
    name = client.ask(new(), SLOW, client="k")
    await client.until(lambda: client.first(name, "chunk"))
    for _ in range(2 * len(NAMES)):
        client.ask(name, SLOW, client="k")
        await asyncio.sleep(0.05)
    await client.end(name)
    for _ in range(len(NAMES)):
        client.ask(name, SLOW, client="k")
    await client.until(lambda: len(client.ends(name)) > len(NAMES))
    events = client.events[name]
    assert sum(event["type"] == "accepted" for event in events) == 1
    assert len({event["device"] for event in events if "device" in event}) == 1
    assert ["repeat" in end for end in client.ends(name)].count(False) == 1
    assert len({end["seq"] for end in client.ends(name)}) == 1


async def test_a_broken_request_is_refused_once(client: Watcher) -> None:
    name = new()
    client.say(TOPICS.prompt(), json.dumps({"id": name, "prompt": "a", "colour": 1}))
    end = await client.end(name)
    assert (end["code"], end["message"]) == ("invalid_request", "unknown field 'colour'")
    elsewhere = new()
    client.ask(elsewhere, reply_to="home/light")
    assert (await client.end(elsewhere))["topic"] == TOPICS.reply(elsewhere)


async def test_a_decision_is_made_by_one_of_the_boxes(client: Watcher) -> None:
    name = new()
    question = {"type": "yes_no", "instructions": "Is it warm?"}
    client.say(TOPICS.decide("k"), json.dumps({"id": name, "state": "warm", "questions": {"warm": question}}))
    end = await client.end(name)
    assert set(end["answers"]) == {"warm"}
    assert end["topic"] == TOPICS.reply(name, "k")


async def test_a_conversation_stays_with_its_box(client: Watcher) -> None:
    ask_many(client, 6)
    for session in ("one", "two", "three"):
        at = set()
        for turn in range(4):
            name = client.ask(new(), f"turn {turn}", client="k", session=session, resume=turn > 0)
            end = await client.end(name)
            assert end["type"] == "done", end
            at.add(end["device"])
        assert len(at) == 1
    stranger = await client.end(client.ask(new(), "turn", client="h", session="one", resume=True))
    assert stranger["code"] == "invalid_request"


async def test_a_client_of_a_device_asks_a_fleet_by_its_name(house: FleetHouse, client: Watcher) -> None:
    async with Requester(options_for(house.broker.port), TOPICS, name="k", return_s=2.0) as requester:
        assert expect_done(await requester.answer(SLOW)).text == ANSWER
        assert (await requester.command("ping")).status == "ok"


async def test_what_is_no_request_on_the_fleet_s_topics_is_ignored(
    house: FleetHouse, client: Watcher
) -> None:
    for topic in (TOPICS.hand("a"), TOPICS.room("a"), TOPICS.cancel(), TOPICS.box("z"), TOPICS.box("a")):
        for payload in (b"", b"{}", b"\xff\x00", b"marker x", b'{"device":"b","room":-1}', b"[" * 5000):
            client.say(topic, payload)
    client.say(TOPICS.prompt(), json.dumps({"id": "kept", "prompt": "a"}), retain=True)
    client.say(TOPICS.prompt(), b"", retain=True)
    names = ask_many(client, 6, "Hello")
    await client.all_ends(names)
    await client.online("a")
    assert all(daemon.running for daemon in house.boxes.values())


# --- boxes come and go -------------------------------------------------------------------------------------


async def test_a_box_that_is_killed_leaves_no_prompt_without_an_end(
    house: FleetHouse, client: Watcher
) -> None:
    names = ask_many(client, 24)
    await until_some_ended(client, names, 3)
    await client.until(lambda: begun_by(client, names, "b"))
    broken_off = begun_by(client, names, "b")
    house.boxes["b"].stop(signal.SIGKILL)
    ends = await client.all_ends(names)
    assert {end.get("text") for end in ends} == {ANSWER}
    # Nobody knows whether that had ended them: so it is marked, and what it never had is not.
    marked = {name for name, end in zip(names, ends, strict=True) if "repeat" in end}
    assert marked >= {name for name in broken_off if client.ends(name)[0]["device"] != "b"}
    assert len(marked) < len(names) / 2
    assert all("repeat" in end for name in names for end in client.ends(name)[1:])
    await client.until(lambda: client.boxes["b"].empty)
    assert client.boxes["b"].adopter in {"a", "c"}
    house.box("b")
    await client.online("b")
    again = ask_many(client, 12)
    assert set(spread(await client.all_ends(again))) == set(NAMES)


async def test_a_conversation_whose_box_is_gone_begins_anew_and_says_so(
    house: FleetHouse, client: Watcher
) -> None:
    first = await client.end(client.ask(new(), "one", client="k", session="moves"))
    gone = first["device"]
    assert first["session_began"] is True
    second = await client.end(client.ask(new(), "two", client="k", session="moves"))
    assert (second["device"], "session_began" in second) == (gone, False)
    house.boxes[gone].stop(signal.SIGKILL)
    await client.is_(BoxCondition.OFFLINE, gone)
    third = await client.end(client.ask(new(), "three", client="k", session="moves"))
    assert third["device"] != gone
    assert third["session_began"] is True
    house.box(gone)
    await client.online(gone)
    fourth = await client.end(client.ask(new(), "four", client="k", session="moves"))
    assert (fourth["device"], "session_began" in fourth) == (third["device"], False)


async def test_a_box_that_drains_finishes_and_takes_nothing_new(client: Watcher) -> None:
    before = ask_many(client, 18)
    await until_some_ended(client, before)
    client.say("edgeassist/a/command/drain", "on")
    await client.is_(BoxCondition.DRAINING, "a")
    after = ask_many(client, 9)
    ends = await client.all_ends([*before, *after])
    assert {end.get("text") for end in ends} == {ANSWER}
    assert "a" not in spread(ends[len(before) :])
    await client.until(lambda: client.boxes["a"].running == 0)
    assert client.boxes["a"].reason == "it was told to"
    client.say("edgeassist/a/command/drain", "off")
    await client.online("a")
    assert "a" in spread(await client.all_ends(ask_many(client, 12)))


async def test_a_box_that_stops_loses_nothing_and_leaves_nothing_behind(
    house: FleetHouse, client: Watcher
) -> None:
    names = ask_many(client, 24)
    await until_some_ended(client, names)
    assert await asyncio.to_thread(house.boxes["c"].stop) == 0
    assert await asyncio.to_thread(house.boxes["a"].stop) == 0
    ends = await client.all_ends(names)
    assert {end.get("text") for end in ends} == {ANSWER}
    assert [len(client.ends(name)) for name in names] == [1] * len(names)
    await client.until(lambda: client.boxes["a"].empty and client.boxes["c"].empty)
    for name in ("a", "c"):
        house.box(name)
    await client.online(*NAMES)


async def test_a_prompt_waits_at_the_broker_while_the_last_box_is_started_anew(
    house: FleetHouse, client: Watcher
) -> None:
    for name in ("a", "b"):
        await asyncio.to_thread(house.boxes[name].stop)
    await client.is_(BoxCondition.OFFLINE, "a", "b")
    names = ask_many(client, 6)
    await until_some_ended(client, names)
    await asyncio.to_thread(house.boxes["c"].stop)
    names += ask_many(client, 3)
    for name in NAMES:
        house.box(name)
    ends = await client.all_ends(names)
    assert {end.get("text") for end in ends} == {ANSWER}
    await client.online(*NAMES)


async def test_a_box_that_hangs_is_taken_over_from_and_then_drops_what_others_have_answered(
    house: FleetHouse, client: Watcher
) -> None:
    names = ask_many(client, 24, "!script delay_ms=60\n" + ANSWER)
    await client.until(lambda: client.boxes["b"].running == 2 and client.boxes["b"].waiting > 0)
    frozen = house.boxes["b"]
    given_up = frozen.log.read_text().count("is answered by another device")
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        ends = await client.all_ends(names)
        await client.until(lambda: client.boxes["b"].empty)
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert {end.get("text") for end in ends} == {ANSWER}
    await client.online("b")
    after = ask_many(client, 12)
    assert "b" in spread(await client.all_ends(after))
    # What its engine went on with may be said twice; the rest of what waited there is not begun.
    assert frozen.log.read_text().count("is answered by another device") > given_up
    assert sum(len(client.ends(name)) for name in names) < 2 * len(names)


async def test_a_fleet_goes_on_after_its_broker_died(house: FleetHouse, client: Watcher) -> None:
    house.broker.stop(signal.SIGKILL)
    client.boxes.clear()
    house.broker.start()
    await client.online(*NAMES)
    assert {end["text"] for end in await client.all_ends(ask_many(client, 9))} == {ANSWER}
