"""A device that is given another name takes back what it published under the old one, on a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import HOST, PrivateBroker
from tests import preloaded
from tests.conftest import AsyncConnect, StartDaemon, Wire, environ_of
from tests.patience import PATIENCE_S
from tests.preloaded import PrivateDaemon

OLD = "edgeassist/box"
CONFIG = "homeassistant/device/edgeassist__box/config"
WATCH = """
[[watch]]
name = "door"
topics = ["door"]
[watch.questions.open]
type = "yes_no"
instructions = "Open?"
"""


async def kept(connect: AsyncConnect, root: str = OLD) -> set[str]:
    """Return the topics of that device's that hold something."""
    wire = await connect.wire(f"{root}/#", "homeassistant/device/#", "end")
    wire.say("end", "end")
    await wire.until(lambda message: message.topic == "end")
    config = f"homeassistant/device/{root.replace('/', '__')}/config"
    held = {message.topic for message in wire.heard if message.retained and message.payload}
    return {topic for topic in held if topic.startswith(f"{root}/") or topic == config}


async def ran(wire: Wire, process: PrivateDaemon, root: str = OLD) -> None:
    """Wait until a daemon has said all of itself, and stop it."""
    await said_all(wire, root)
    await asyncio.to_thread(process.stop)


async def is_said(wire: Wire, topic: str) -> None:
    await wire.until(lambda message: message.topic == topic and bool(message.payload))


async def said_all(wire: Wire, root: str = OLD) -> None:
    for name in ("discovery", "status", "health", "telemetry", "info", "instance"):
        await is_said(wire, f"{root}/{name}")


async def logs(process: PrivateDaemon, words: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while words not in process.log.read_text():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("settings", "root"),
    [
        ({"device__name": "hall"}, "edgeassist/hall"),
        ({"mqtt__base": "home/ai"}, "home/ai/box"),
        ({"mqtt__protocol": "3.1.1", "device__name": "hall"}, "edgeassist/hall"),
        # Below the old root, where nothing may be taken for what the old one left.
        ({"mqtt__base": OLD, "device__name": "watch"}, f"{OLD}/watch"),
    ],
    ids=["name", "base", "3.1.1", "below"],
)
async def test_a_renamed_device_leaves_nothing_behind_and_is_itself_whole(
    daemon: StartDaemon, connect: AsyncConnect, tmp_path: Path, settings: dict[str, Any], root: str
) -> None:
    config = tmp_path / "box.toml"
    config.write_text(WATCH)
    wire = await connect.wire("#")
    former = daemon(config, homeassistant__discovery=True)
    await wire.until(lambda message: message.topic == f"{OLD}/watch/door")
    await ran(wire, former)
    assert {CONFIG, f"{OLD}/status", f"{OLD}/watch/door"} < await kept(connect)

    present = daemon(homeassistant__discovery=True, **settings)
    await logs(present, f"this device was {OLD} before: what was published under that name is withdrawn")
    left = {topic for topic in await kept(connect) if not topic.startswith(f"{root}/")}
    assert left == set()
    await said_all(wire, root)
    mine = await kept(connect, root)
    names = ("discovery", "status", "health", "telemetry", "info", "instance")
    assert {f"{root}/{name}" for name in names} <= mine


async def test_a_device_that_was_killed_and_renamed_is_withdrawn_too(
    daemon: StartDaemon, connect: AsyncConnect
) -> None:
    wire = await connect.wire("#")
    former = daemon(homeassistant__discovery=True)
    await said_all(wire)
    await asyncio.to_thread(former.stop, signal.SIGKILL)
    present = daemon(device__name="hall")
    await logs(present, f"this device was {OLD} before: what was published under that name is withdrawn")
    assert await kept(connect) == set()


async def test_a_name_is_noted_before_anything_is_published_under_it(
    daemon: StartDaemon, connect: AsyncConnect, tmp_path: Path
) -> None:
    wire = await connect.wire(f"{OLD}/#")
    daemon(homeassistant__discovery=True)
    await wire.until(lambda message: message.topic.startswith(OLD))
    # As at a power cut in this moment.
    (file,) = (tmp_path / "state" / "names").iterdir()
    assert json.loads(file.read_text())["device"] == "box"


async def test_a_device_beside_it_with_the_same_state_directory_is_left_alone(
    daemon: StartDaemon, connect: AsyncConnect
) -> None:
    wire = await connect.wire("#")
    one = daemon(homeassistant__discovery=True)
    await said_all(wire)
    other = daemon(homeassistant__discovery=True, device__name="hall")
    await said_all(wire, "edgeassist/hall")
    before = await kept(connect)
    # A third start, beside both: it would find the names of both.
    await asyncio.to_thread(other.stop)
    third = daemon(device__name="attic")
    await logs(third, "this device was edgeassist/hall before: what was published under that name is with")
    assert await kept(connect) == before
    assert one.poll() is None


async def test_a_name_that_another_daemon_has_by_now_is_left_to_it(
    daemon: StartDaemon, connect: AsyncConnect, broker: PrivateBroker, tmp_path: Path
) -> None:
    wire = await connect.wire("#")
    await ran(wire, daemon(homeassistant__discovery=True))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    wire.heard.clear()
    with PrivateDaemon(elsewhere, environ_of(broker.port, homeassistant__discovery=True)) as other:
        await said_all(wire)
        before = await kept(connect)
        present = daemon(device__name="hall")
        await logs(present, f"this device was {OLD} before; what stands there now is not its own: left")
        assert await kept(connect) == before
        # Also while that one is off.
        await asyncio.to_thread(other.stop)
        present.stop()
        present.log.write_text("")
        again = daemon(device__name="hall")
        await logs(again, f"this device was {OLD} before; what stands there now is not its own: left")
        assert await kept(connect) == before


RIGHTS = """
user box
topic readwrite edgeassist/box/#
topic write homeassistant/device/+/config

user hall
topic readwrite edgeassist/hall/#
topic write homeassistant/device/edgeassist__hall/config
MORE

user all
topic readwrite #
"""


@pytest.fixture
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PrivateBroker]:
    """One that takes any user at his word; where `rights` is asked for, with these."""
    with ExitStack() as stack:
        lines = ["allow_anonymous true"]
        if (more := getattr(request, "param", None)) is not None:
            (tmp_path / "rights").write_text(RIGHTS.replace("MORE", more))
            lines.append(f"acl_file {tmp_path / 'rights'}")
        yield stack.enter_context(PrivateBroker(tmp_path, lines))


def examine(broker: PrivateBroker, state: Path, **settings: str) -> list[dict[str, str]]:
    """Return what `doctor` says of the broker."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
    environ |= {"STATE_DIRECTORY": str(state), **environ_of(broker.port, **settings)}
    ended = preloaded.run("doctor", "--json", environ=environ)
    return [each for each in json.loads(ended.stdout)["findings"] if each["area"] == "broker"]


@pytest.mark.parametrize(
    ("broker", "words"),
    [
        ("", "the broker does not let it look"),
        ("topic readwrite edgeassist/box/#", "the broker does not say that what it published then is gone"),
    ],
    indirect=["broker"],
)
async def test_a_name_that_may_not_be_withdrawn_is_told_with_the_command_that_does_it(
    broker: PrivateBroker, daemon: StartDaemon, connect: AsyncConnect, tmp_path: Path, words: str
) -> None:
    wire = await connect.wire("#", username="all")
    await ran(wire, daemon(homeassistant__discovery=True, mqtt__username="box"))
    before = {message.topic for message in wire.heard if message.topic.startswith(OLD)}
    present = daemon(homeassistant__discovery=True, device__name="hall", mqtt__username="hall")
    await logs(present, words)
    late = await connect.wire(f"{OLD}/+", CONFIG, username="all")
    for topic in before | {CONFIG}:
        await is_said(late, topic)

    def told(user: str) -> list[dict[str, str]]:
        found = examine(broker, tmp_path / "state", device__name="hall", mqtt__username=user)
        return [each for each in found if "before" in each["text"]]

    (finding,) = await asyncio.to_thread(told, "all")
    assert finding["severity"] == "warning"
    assert OLD in finding["text"]
    command = finding["remedy"].partition("or: ")[2]
    reach = f"-h {HOST} -p {broker.port} -u all"
    subprocess.run(
        ["bash", "-ec", command.replace("mosquitto_pub", f"mosquitto_pub {reach}")],
        check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert await asyncio.to_thread(told, "all") == []
