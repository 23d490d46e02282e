"""Fleets that are not all alike: of MQTT 3.1.1, of two versions, of two models, beside another durability."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edgeassist.fleet.envelope import Envelope
from edgeassist.fleet.survey import remarks, survey
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.packets import Inbound
from tests.integration.fleet import TOPICS, FleetHouse, Watcher, spread

ANSWER = "word " * 20
SLOW = "!script delay_ms=12\n" + ANSWER
OLD = {"mqtt__protocol": "3.1.1"}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def house(tmp_path: Path, stack: AsyncExitStack) -> FleetHouse:
    """Nobody yet."""
    return stack.enter_context(FleetHouse(tmp_path, engine__threads=1))


def ask_many(client: Watcher, first: int, number: int) -> list[str]:
    return [client.ask(f"r{each}", SLOW) for each in range(first, first + number)]


async def test_a_whole_fleet_of_mqtt_3_1_1_hands_on_drains_and_survives_a_death(
    house: FleetHouse, stack: AsyncExitStack
) -> None:
    # What a box keeps for its own topics does not matter to the fleet.
    for name in ("a", "b", "c"):
        house.box(name, admission__durable=str(name != "b").lower(), **OLD)
    client = await house.watcher(stack, protocol="3.1.1")
    await client.online("a", "b", "c")
    ends = await client.all_ends(ask_many(client, 0, 18))
    assert {end["text"] for end in ends} == {ANSWER}
    assert set(spread(ends)) == {"a", "b", "c"}
    names = ask_many(client, 100, 24)
    await client.until(lambda: client.boxes["b"].running and client.boxes["b"].waiting)
    house.boxes["b"].stop(signal.SIGKILL)
    ends = await client.all_ends(names)
    assert {end["text"] for end in ends} == {ANSWER}
    assert all("repeat" in end for name in names for end in client.ends(name)[1:])
    await client.until(lambda: client.boxes["b"].empty)
    names = ask_many(client, 200, 12)
    client.say("edgeassist/a/command/drain", "on")
    await client.is_(BoxCondition.DRAINING, "a")
    names += ask_many(client, 300, 4)
    assert {end["text"] for end in await client.all_ends(names)} == {ANSWER}
    assert {client.ends(f"r{number}")[0]["device"] for number in range(300, 304)} == {"c"}


async def test_what_a_box_of_3_1_1_hands_to_one_that_has_just_stopped_is_answered(
    house: FleetHouse, stack: AsyncExitStack
) -> None:
    """No broker tells such a box that nobody is there."""
    house.box("a")
    house.box("b", **OLD)
    client = await house.watcher(stack)
    await client.online("a", "b")
    assert await asyncio.to_thread(house.boxes["a"].stop) == 0
    late = Inbound(TOPICS.prompt("k"), b'{"id": "late", "prompt": "hello"}')
    client.say(TOPICS.hand("a"), Envelope("b", late, 1, id="late").encode())
    end = await client.end("late")
    assert (end["text"], end["device"], end["topic"]) == ("hello", "b", TOPICS.reply("late", "k"))
    await client.until(lambda: client.boxes["a"].empty)
    house.box("a")
    await client.online("a")
    assert await asyncio.to_thread(house.boxes["b"].stop) == 0
    # To one of MQTT 5 it is told: nothing is left behind.
    await client.until(lambda: client.boxes["b"].empty)


async def test_what_boxes_had_when_the_broker_died_with_all_its_sessions_outlives_each_of_them(
    house: FleetHouse, stack: AsyncExitStack
) -> None:
    for name in ("a", "b"):
        house.box(name, mqtt__reconnect_max_s=1)
    client = await house.watcher(stack, reconnect_max_s=1)
    await client.online("a", "b")
    slow = "!script delay_ms=200\n" + ANSWER
    # All run, so that none is on its way between boxes when the broker dies.
    names = [client.ask(f"r{number}", slow, client="k") for number in range(4)]
    await client.until(lambda: all(client.first(name, "chunk") for name in names))
    house.broker.stop(signal.SIGKILL)
    client.boxes.clear()
    house.broker.start()
    # Before that, each has handed what it has to itself, so that it stands in its session again.
    await client.online("a", "b")
    cancelled = names.pop()
    client.say(TOPICS.cancel("k"), cancelled)
    assert (await client.end(cancelled))["code"] == "cancelled"
    house.boxes["b"].stop(signal.SIGKILL)
    ends = await client.all_ends(names)
    assert {end["text"] for end in ends} == {ANSWER}
    await client.until(lambda: client.boxes["b"].empty)
    assert [end.get("code") for end in client.ends(cancelled)[1:] if "repeat" not in end] == []


async def test_a_box_with_another_model_answers_as_itself_and_is_told_of(
    house: FleetHouse, stack: AsyncExitStack
) -> None:
    house.box("a")
    house.box("tiny", model__backend="auto", model__path="builtin:tiny")
    client = await house.watcher(stack)
    await client.online("a", "tiny")
    prompt = "Turn on the kitchen light"
    names = [client.ask(f"m{number}", prompt, client="k", session=f"s{number}") for number in range(12)]
    ends = await client.all_ends(names)
    models = {end["device"]: (end["model"], end["text"] == prompt) for end in ends}
    assert models["a"] == ("scripted", True)
    assert models["tiny"][0].startswith("EdgeAssist Tiny")
    assert not models["tiny"][1]
    # A session stays where it is, also in a fleet of two models.
    again = [client.ask(f"n{number}", prompt, client="k", session=f"s{number}") for number in range(12)]
    assert [end["device"] for end in await client.all_ends(again)] == [end["device"] for end in ends]
    seen = survey("home", {name: box.model_dump_json().encode() for name, box in client.boxes.items()})
    assert any("different models" in remark.text for remark in remarks(seen, client.boxes["a"].since or 0.0))
