"""A fleet of one box, the last: it may not take requests, but it does not let them be lost either."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from edgeassist.fleet.envelope import Envelope
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.packets import Inbound
from tests.integration.fleet import TOPICS, FleetHouse, Watcher

MOST = 64
DRAIN = "edgeassist/a/command/drain"


class Fleet(NamedTuple):
    """One box, `a`, and a client."""

    house: FleetHouse
    client: Watcher


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """A fleet of one box that takes requests."""
    with FleetHouse(tmp_path, engine__threads=1, fleet__receive_maximum=MOST) as house:
        house.box("a")
        async with AsyncExitStack() as stack:
            client = await house.watcher(stack)
            await client.online("a")
            yield Fleet(house, client)


async def test_what_comes_while_nobody_takes_requests_waits_for_the_first_box_that_does(fleet: Fleet) -> None:
    house, client = fleet
    client.say(DRAIN, "on")
    await client.is_(BoxCondition.DRAINING, "a")
    first = [client.ask(f"first{number}") for number in range(3)]
    client.say(DRAIN, "off")
    assert {end["device"] for end in await client.all_ends(first)} == {"a"}
    await client.online("a")  # an answer may be heard before that: nothing orders two connections
    client.say(DRAIN, "on")
    await client.is_(BoxCondition.DRAINING, "a")
    second = [client.ask(f"second{number}") for number in range(3)]
    house.box("b")
    assert {end["device"] for end in await client.all_ends(second)} == {"b"}
    # Now that there is another, it leaves the fleet's requests to that.
    third = [client.ask(f"third{number}") for number in range(4)]
    assert {end["device"] for end in await client.all_ends(third)} == {"b"}
    assert [len(client.ends(name)) for name in first + second + third] == [1] * 10


async def test_what_a_box_that_drains_has_left_at_the_broker_is_answered_after_its_next_start(
    fleet: Fleet,
) -> None:
    house, client = fleet
    client.say(DRAIN, "on")
    await client.is_(BoxCondition.DRAINING, "a")
    names = [client.ask(f"kept{number}") for number in range(3)]
    house.boxes["a"].stop()
    assert not any(client.ends(name) for name in names)
    house.box("a")
    assert {end["type"] for end in await client.all_ends(names)} == {"done"}


async def test_a_flood_at_qos_0_fills_a_box_no_further_than_one_that_the_broker_counts(fleet: Fleet) -> None:
    client = fleet.client
    names = [f"flood{number}" for number in range(2 * MOST)]
    slow = "!script delay_ms=1000\n" + "word " * 100
    for name in names:
        client.say(TOPICS.prompt("k"), json.dumps({"id": name, "prompt": slow}), qos=0)
    await client.until(lambda: sum(bool(client.ends(name)) for name in names) == MOST)
    refused = [end for name in names for end in client.ends(name)]
    assert {(end["code"], end["retryable"]) for end in refused} == {("busy", True)}
    client.say(TOPICS.cancel("k"), "all")
    await client.all_ends(names)
    assert (await client.end(client.ask("after")))["type"] == "done"


async def test_what_is_retained_where_boxes_hand_over_is_no_request(fleet: Fleet) -> None:
    house, client = fleet
    inner = Inbound(TOPICS.prompt("k"), b'{"id": "stays", "prompt": "x"}')
    house.boxes["a"].stop()
    client.say(TOPICS.hand("a"), Envelope("b", inner, 1).encode(), retain=True)
    client.boxes.clear()
    house.box("a")
    await client.online("a")
    assert (await client.end(client.ask("after")))["type"] == "done"
    # What is retained came once before, as a message to the session that the last box keeps.
    assert len(client.ends("stays")) == 1


async def test_the_same_words_after_the_broker_lost_its_sessions_are_another_request(fleet: Fleet) -> None:
    house, client = fleet
    slow = "!script delay_ms=1000\n" + "word " * 100
    for _ in range(3):
        client.say(TOPICS.prompt(), slow)
    await client.until(lambda: len(client.events) == 3)
    house.broker.stop(signal.SIGKILL)
    client.boxes.clear()
    house.broker.start()
    await client.online("a")
    for _ in range(3):  # the broker gives them the packet ids of the first three
        client.say(TOPICS.prompt(), slow)
    await client.until(lambda: len(client.events) == 6)
    client.say(TOPICS.cancel(), "all")
    await client.all_ends(list(client.events))


async def test_a_conversation_that_went_on_elsewhere_during_maintenance_stays_there(fleet: Fleet) -> None:
    house, client = fleet

    async def turn(session: str, *, resume: bool = False) -> tuple[str, bool]:
        end = await client.end(
            client.ask(f"turn{len(client.events)}", client="k", session=session, resume=resume)
        )
        assert end["type"] == "done", end
        return end["device"], end.get("session_began", False)

    names = [f"s{number}" for number in range(8)]
    for name in names:
        assert await turn(name) == ("a", True)
    house.box("b")
    await client.online("b")
    client.say(DRAIN, "on")
    await client.is_(BoxCondition.DRAINING, "a")
    for name in names:
        assert await turn(name) == ("b", True)
    client.say(DRAIN, "off")
    await client.online("a")
    for name in names:
        assert await turn(name, resume=True) == ("b", False)
