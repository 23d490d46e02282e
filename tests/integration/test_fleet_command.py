"""`edgeassist fleet`, and what `edgeassist doctor` says of one, beside boxes that are processes."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from edgeassist.doctor import examination
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.sandbox import PrivateBroker, free_port
from tests import preloaded
from tests.conftest import environ_of
from tests.integration.fleet import TOPICS, FleetHouse
from tests.patience import PATIENCE_S

COMMAND = [sys.executable, "-P", "-m", "edgeassist", "fleet"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHouse]:
    """Two boxes that are there, and one that was killed, whose session nobody takes over yet."""
    with FleetHouse(tmp_path_factory.mktemp("fleet"), fleet__adopt_s=3600) as house:
        for name in ("attic", "cellar", "shed"):
            house.box(name)
        asyncio.run(_wait_until(house, BoxCondition.ONLINE, "attic", "cellar", "shed"))
        house.boxes["shed"].stop(signal.SIGKILL)
        asyncio.run(_wait_until(house, BoxCondition.OFFLINE, "shed"))
        yield house


async def _wait_until(house: FleetHouse, condition: BoxCondition, *boxes: str) -> None:
    async with AsyncExitStack() as stack:
        watcher = await house.watcher(stack)
        await watcher.is_(condition, *boxes)


def _environ(port: int, **settings: Any) -> dict[str, str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
    return {**environ, **environ_of(port, device__name="somebody", **settings)}


def _run(port: int, *arguments: str, width: int = 160, **settings: Any) -> tuple[int, str]:
    ended = preloaded.run("fleet", *arguments, environ={**_environ(port, **settings), "COLUMNS": str(width)})
    return ended.returncode, ended.stdout + ended.stderr


def _rows(printed: str) -> dict[str, list[str]]:
    """Return the cells of each row of the table by the name of the box."""
    rows = [re.split(r"  +", line.strip()) for line in printed.splitlines()]
    return {row[0]: row for row in rows}


@pytest.mark.parametrize("width", [60, 160])
def test_the_table_shows_who_takes_requests_and_who_is_gone(house: FleetHouse, width: int) -> None:
    status, printed = _run(house.broker.port, width=width, fleet__group="home")
    assert status == 0, printed
    assert max(map(len, printed.splitlines())) <= width
    rows = _rows(printed)
    # On a busy machine the governor holds them back, which is said behind it.
    states = [rows[name][1].removesuffix(", held back") for name in ("attic", "cellar", "shed")]
    assert states == ["online", "online", "offline"]
    assert rows["attic"][2:4] == ["0/2", "0"]
    text = " ".join(printed.split())
    assert "home: 2 of 3 boxes take requests, 0 of 4 slots busy, 0 waiting model scripted, version" in text
    assert "shed is offline, and the broker may keep requests for it that nobody takes over" in text


def test_without_a_group_all_fleets_are_shown_as_json_with_what_the_boxes_say_of_their_health(
    house: FleetHouse,
) -> None:
    status, printed = _run(house.broker.port, "--json")
    assert status == 0
    (fleet,) = json.loads(printed)["fleets"]
    assert fleet["group"] == "home"
    boxes = {box["device"]: box for box in fleet["boxes"]}
    assert boxes["attic"]["state"] == "online"
    assert boxes["attic"]["health"]["state"] == "ready"
    assert boxes["attic"]["telemetry"]["requests"] == 0
    assert [remark["serious"] for remark in fleet["remarks"]] == [False]


def test_a_fleet_that_nobody_is_in_is_said_and_ends_with_69(house: FleetHouse) -> None:
    status, printed = _run(house.broker.port, "hoem")
    assert status == 69
    assert "nobody is in the fleet 'hoem'" in printed
    assert 'fleet.group = "hoem"' in printed


@pytest.mark.parametrize("name", ["a/b", "+", ""])
def test_what_can_not_be_a_fleet_is_refused_before_anything_is_asked(name: str) -> None:
    status, printed = _run(free_port(), name)
    assert status == 2
    assert "its name is one level of a topic" in printed


def test_without_a_broker_it_says_so() -> None:
    port = free_port()
    status, printed = _run(port, "home")
    assert status == 69
    assert f"{port}" in printed


async def test_a_watched_fleet_is_printed_again_when_something_changes(house: FleetHouse) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "home", "--watch", "--json", env=_environ(house.broker.port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:
            await process.stdout.readline()
            watcher = await house.watcher(stack)
            stranger = watcher.boxes.get("attic") or await watcher.until(lambda: watcher.boxes.get("attic"))
            other = stranger.model_copy(
                update={"device": "roof", "root": "edgeassist/roof", "session": "roof", "protocol": 7}
            )
            watcher.say(TOPICS.box("roof"), other.model_dump_json(), retain=True)
            while True:
                (fleet,) = json.loads(await process.stdout.readline())["fleets"]
                if "roof" in {box["device"] for box in fleet["boxes"]}:
                    break
            texts = [remark["text"] for remark in fleet["remarks"]]
            assert any(
                text.startswith(
                    "its boxes speak different versions of the wire contract: attic and cellar: 1"
                )
                for text in texts
            )
            watcher.say(TOPICS.box("roof"), b"", retain=True)
            while "roof" in {box["device"] for box in fleet["boxes"]}:
                (fleet,) = json.loads(await process.stdout.readline())["fleets"]
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _doctor(port: int, device: str = "attic", **settings: Any) -> list[tuple[str, str]]:
    environ = environ_of(port, device__name=device, fleet__group="home", **settings)
    found = await examination.examine(None, environ)
    return [(each.severity.value, each.text) for each in found if each.area == "fleet"]


async def test_doctor_tells_of_the_fleet_without_a_prompt_being_taken_from_it(house: FleetHouse) -> None:
    async with AsyncExitStack() as stack:
        watcher = await house.watcher(stack)
        looking = asyncio.create_task(_doctor(house.broker.port))
        names = [watcher.ask(f"meanwhile-{number}") for number in range(3)]
        # One of three stands for the box that is gone.
        await watcher.until(lambda: sum(bool(watcher.ends(name)) for name in names) == 2)
        found = await looking
        assert {message.topic.rpartition("/")[2].split("-")[0] for message in watcher.handed} <= {"doctor"}
    assert [severity for severity, _ in found] == ["warning", "ok"]
    assert found[0][1].startswith("shed is offline")
    assert found[1][1] == "shared subscriptions work, and 2 of 3 boxes of 'home' take requests"


async def test_doctor_says_which_right_an_account_lacks_in_its_fleet(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite edgeassist/attic/#\ntopic read edgeassist/fleet/home/box/+\n")
    acl.chmod(0o600)
    with PrivateBroker(tmp_path, ("allow_anonymous true", f"acl_file {acl}")) as broker:
        found = await _doctor(broker.port)
    texts = [text for severity, text in found if severity == "problem"]
    assert texts[0].startswith("what is published on edgeassist/fleet/home/hand/+ does not come back")
    assert texts[1] == "nobody is in the fleet 'home'"
