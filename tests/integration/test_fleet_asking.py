"""Asking a fleet without knowing its boxes: `edgeassist ask --fleet`, `decide --fleet`, and the client."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from edgeassist.client import AsyncClient, BrokerError, InvalidRequestError, choice
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.sandbox import HOST, PrivateBroker
from tests.conftest import environ_of
from tests.integration.fleet import TOPICS, FleetHouse, Watcher
from tests.patience import PATIENCE_S

COMMAND = [sys.executable, "-P", "-m", "edgeassist"]
NAMES = ("attic", "cellar")
# Takes minutes: who waits for its end has not cancelled it.
LONG = "!script delay_ms=1000\n" + "word " * 200


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHouse]:
    """Two boxes."""
    with FleetHouse(tmp_path_factory.mktemp("fleet"), engine__threads=1) as running:
        for name in NAMES:
            running.box(name)
        yield running


@pytest.fixture
async def client(house: FleetHouse) -> AsyncIterator[Watcher]:
    """One who hears all, once both boxes take requests."""
    async with AsyncExitStack() as stack:
        watcher = await house.watcher(stack)
        await watcher.online(*NAMES)
        yield watcher


async def start(port: int, *arguments: str, **settings: Any) -> asyncio.subprocess.Process:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
    environ |= environ_of(port, device__name="laptop", **settings)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*COMMAND, *arguments, env=environ, stdout=pipe, stderr=pipe)


async def run(port: int, *arguments: str, **settings: Any) -> tuple[int, str, str]:
    """Run a command; return its status, and what it printed on standard output and standard error."""
    process = await start(port, *arguments, **settings)
    async with asyncio.timeout(PATIENCE_S):
        out, error = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


async def test_ask_prints_the_answer_and_beside_it_which_box_gives_it(
    house: FleetHouse, client: Watcher
) -> None:
    # Without a name: the only fleet that there is at this broker.
    status, out, error = await run(house.broker.port, "ask", "--fleet", "Hello")
    assert (status, out) == (0, "Hello\n"), error
    assert error in {f"{name} answers\n" for name in NAMES}
    status, out, error = await run(house.broker.port, "ask", "--json", "--group", "home", "Hello")
    events = [json.loads(line) for line in out.splitlines()]
    assert (status, events[-1]["text"], error) == (0, "Hello", "")
    assert events[0]["device"] in NAMES


async def test_a_session_goes_on_at_its_box_and_it_is_said_where_it_begins(
    house: FleetHouse, client: Watcher
) -> None:
    said = []
    for _ in range(3):
        status, _, error = await run(house.broker.port, "ask", "--fleet", "--session", "evening", "Hello")
        assert status == 0, error
        said.append(error.splitlines())
    box = said[0][0].split()[0]
    assert (
        said
        == [[f"{box} answers", f"the session 'evening' began with this, at {box}"]] + [[f"{box} answers"]] * 2
    )


async def test_ctrl_c_cancels_at_whichever_box_has_the_request(house: FleetHouse, client: Watcher) -> None:
    heard = set(client.events)
    process = await start(house.broker.port, "ask", "--fleet", LONG)
    try:
        name = await client.until(
            lambda: next((each for each in set(client.events) - heard if client.first(each, "chunk")), None)
        )
        process.send_signal(signal.SIGINT)
        assert (await client.end(name))["code"] == "cancelled"
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 1
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_decide_says_which_box_has_answered(house: FleetHouse, client: Watcher) -> None:
    status, out, error = await run(
        house.broker.port, "decide", "--fleet", "The lamp in the kitchen", "--choice", "kitchen,bath"
    )
    assert status == 0, error
    assert "> kitchen" in out
    assert error in {f"{name} has answered\n" for name in NAMES}


async def test_of_several_fleets_one_has_to_be_named(house: FleetHouse, client: Watcher) -> None:
    other = TOPICS.root.replace("home", "garden") + "/box/shed"
    state = client.boxes["attic"].model_copy(update={"device": "shed"})
    client.say(other, state.model_dump_json(), retain=True)
    try:
        status, _, error = await run(house.broker.port, "ask", "--fleet", "Hello")
    finally:
        client.say(other, b"", retain=True)
    assert status == 2
    assert "several fleets at this broker: name one, --group garden, or home" in error


async def test_where_no_box_takes_requests_it_is_said_and_nothing_is_asked(
    house: FleetHouse, client: Watcher
) -> None:
    status, _, _ = await run(house.broker.port, "ask", "--group", "a/b", "Hello")
    assert status == 2
    drains = [f"edgeassist/{name}/command/drain" for name in NAMES]
    for topic in drains:
        client.say(topic, "on")
    await client.is_(BoxCondition.DRAINING, *NAMES)
    try:
        status, _, error = await run(house.broker.port, "ask", "--fleet", "Hello")
    finally:
        for topic in drains:
            client.say(topic, "off")
    assert status == 69
    assert "attic is draining (it was told to), cellar is draining (it was told to)" in error
    await client.online(*NAMES)


async def test_a_fleet_that_this_account_may_not_ask_says_so_at_once(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read edgeassist/fleet/#\n")
    acl.chmod(0o600)
    with PrivateBroker(tmp_path, ("allow_anonymous true", f"acl_file {acl}")) as broker:
        async with AsyncClient(HOST, broker.port, fleet="home", name="me") as client:
            with pytest.raises(BrokerError, match=r"can't be published on edgeassist/fleet/home/prompt/me"):
                await client.ask("Hello")


async def test_a_program_asks_a_fleet_as_it_asks_a_device(house: FleetHouse, client: Watcher) -> None:
    async with AsyncClient(HOST, house.broker.port, fleet="home", name="me") as asking:
        await asking.wait_ready(PATIENCE_S)
        assert await asking.online()
        assert [box["device"] for box in await asking.boxes()] == list(NAMES)
        first = await asking.ask("Hello", session="s")
        second = await asking.ask("Hello", session="s", resume=True)
        assert first.device == second.device
        assert (first.session_began, second.session_began) == (True, False)
        decision = await asking.decide("a lamp in the bath", {"room": choice("Where?", ["kitchen", "bath"])})
        assert (decision["room"].choice, decision.device in NAMES) == ("bath", True)
        stream = asking.stream(LONG, id="mine")
        assert await anext(aiter(stream)) == "word"
        await asking.cancel("mine")
        assert (await client.end("mine"))["code"] == "cancelled"
        await stream.aclose()
        for asks in (asking.health(), asking.models(), asking.command("reload")):
            with pytest.raises(InvalidRequestError, match="the fleet 'home' has no"):
                await asks
    async with AsyncClient(HOST, house.broker.port, device="attic") as device:
        with pytest.raises(InvalidRequestError, match="a device has no boxes"):
            await device.boxes()


async def test_a_fleet_of_which_nobody_is_there_is_given_up(house: FleetHouse) -> None:
    async with AsyncClient(HOST, house.broker.port, fleet="hoem", return_s=0.2) as asking:
        with pytest.raises(BrokerError, match="no box of a fleet 'hoem' is known at this broker"):
            await asking.ask("Hello")
        with pytest.raises(BrokerError, match="no box of a fleet 'hoem' is known at this broker"):
            await asking.wait_ready(0.2)


async def test_what_was_asked_is_answered_although_the_broker_died(
    house: FleetHouse, client: Watcher
) -> None:
    """It keeps nothing: the client may be back before the boxes are, and its request be lost."""
    async with AsyncClient(HOST, house.broker.port, fleet="home", name="me", return_s=60) as asking:
        slow = "!script delay_ms=30\n" + "word " * 20
        asked = [asyncio.create_task(asking.ask(f"{slow}{number}")) for number in range(6)]
        await client.until(lambda: any(box.running for box in client.boxes.values()))
        house.broker.stop(signal.SIGKILL)
        client.boxes.clear()
        house.broker.start()
        async with asyncio.timeout(PATIENCE_S):
            texts = [answer.text for answer in await asyncio.gather(*asked)]
    assert texts == ["word " * 20 + str(number) for number in range(6)]
