"""Watches on a real broker, as whoever reads them sees them: what is known stands retained."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgeassist.errors import ExitStatus
from edgeassist.protocol.packets import Inbound
from edgeassist.sandbox import HOST, PrivateBroker
from tests import preloaded
from tests.acceptance.test_home_assistant import CONFIG, Home, kept
from tests.conftest import AsyncConnect, StartDaemon, StartReady, Wire
from tests.patience import PATIENCE_S

STATE = "edgeassist/box/watch/laundry"
# The scripted backend takes the option that its state names most often.
WATCH = """
[[watch]]
name = "laundry"
topics = ["washer/power", { topic = "washer/+/state", json_path = "$.is", label = "parts" }]
interval_s = 1
[watch.questions.done]
type = "yes_no"
instructions = "Done?"
[watch.questions.room]
type = "choice"
instructions = "Where?"
criteria = ["kitchen", "bath"]
[watch.questions.load]
type = "score"
instructions = "How heavy?"
minimum = 0
maximum = 3
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "watches.toml"
    file.write_text(WATCH)
    return file


def known(message: Inbound) -> dict[str, Any]:
    return dict(json.loads(message.payload)) if message.topic == STATE and message.payload else {}


def choices(message: Inbound) -> dict[str, str | None]:
    return {name: answer["choice"] for name, answer in known(message).get("answers", {}).items()}


def status(port: int, *options: str) -> str:
    """Return what the command prints."""
    environ = {
        "EDGEASSIST_DEVICE__NAME": "box",
        "EDGEASSIST_MQTT__HOST": HOST,
        "EDGEASSIST_MQTT__PORT": f"{port}",
    }
    ended = preloaded.run("status", *options, environ={**os.environ, **environ, "COLUMNS": "200"})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def says(wire: Wire, matches: Callable[[dict[str, str | None]], bool]) -> dict[str, Any]:
    """Wait until such choices are known; return all that is said then, and forget what was heard."""
    found = known(await wire.until(lambda message: bool(choices(message)) and matches(choices(message))))
    wire.heard.clear()
    return found


async def test_what_came_on_topics_is_decided_and_stands_retained_and_only_news_is_asked_about(
    ready: StartReady, connect: AsyncConnect, config: Path
) -> None:
    _, client = await ready(config=config)
    wire = await connect.wire("edgeassist/box/watch/+")
    said = await says(wire, lambda found: found["done"] is None)
    assert said["reason"] == "no message has come yet"
    wire.say("washer/power", "yes yes")
    wire.say("washer/drum/state", '{"is": "in the bath: 3"}')
    said = await says(wire, lambda found: found == {"done": "yes", "room": "bath", "load": "3"})
    assert said["reason"] is None
    assert said["state_at"] <= said["answered_at"]
    for answer in said["answers"].values():
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert said["answers"]["load"]["score"] > 1.5
    before = await client.wait_health(frozenset({"ready"}), PATIENCE_S)
    assert before is not None
    asked = (await requests(connect))["requests"]
    for _ in range(20):
        wire.say("washer/power", "yes yes")
        wire.say("washer/drum/state", '{"is": "in the bath: 3", "other": 1}')
    wire.say("washer/power", "no no no")
    await says(wire, lambda found: found["done"] == "no")
    assert (await kept(connect, STATE)).keys() == {STATE}
    assert (await requests(connect, least=asked + 1))["requests"] == asked + 1


async def test_status_shows_decisions_and_what_is_known_from_watches(
    ready: StartReady, connect: AsyncConnect, config: Path, broker: PrivateBroker
) -> None:
    await ready(config=config)
    wire = await connect.wire("edgeassist/box/watch/+")
    wire.say("washer/power", "yes yes")
    await says(wire, lambda found: found["done"] == "yes")
    await requests(connect)
    printed = await asyncio.to_thread(status, broker.port)
    assert re.search(r"decisions +│? *1 answered, [0-9.]+ ms \(p50\)", printed)
    assert re.search(r"watch laundry +│? *done yes \(\d+%\), room unknown", printed)
    documents = json.loads(await asyncio.to_thread(status, broker.port, "--json"))
    assert documents["watches"]["laundry"]["answers"]["done"]["choice"] == "yes"
    assert documents["telemetry"]["decision_ms"]["p50"] > 0


async def requests(connect: AsyncConnect, least: int = 1) -> dict[str, Any]:
    """Return the telemetry, once it counts so many requests."""
    wire = await connect.wire("edgeassist/box/telemetry")
    message = await wire.until(lambda each: json.loads(each.payload)["requests"] >= least)
    return dict(json.loads(message.payload))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_broker_that_restarts_loses_nothing_and_brings_no_question(
    ready: StartReady, connect: AsyncConnect, config: Path, broker: PrivateBroker, protocol: str
) -> None:
    await ready(config=config, mqtt__protocol=protocol)
    wire = await connect.wire("edgeassist/box/watch/+")
    wire.say("washer/power", "yes", retain=True)
    first = await says(wire, lambda found: found["done"] == "yes")
    broker.stop()
    broker.start()
    again = await says(wire, lambda found: found["done"] == "yes")
    assert again == first
    # What is retained is lost with this broker; said again, it is the same.
    wire.say("washer/power", "yes", retain=True)
    wire.say("washer/power", "no")
    later = await says(wire, lambda found: found["done"] == "no")
    assert later["answered_at"] >= first["answered_at"]


async def test_an_engine_that_dies_costs_a_watch_nothing(
    ready: StartReady, connect: AsyncConnect, config: Path
) -> None:
    daemon, client = await ready(config=config)
    wire = await connect.wire("edgeassist/box/watch/+")
    wire.say("washer/power", "yes")
    await says(wire, lambda found: found["done"] == "yes")
    for child in psutil.Process(daemon.pid).children():
        child.send_signal(signal.SIGKILL)
    wire.say("washer/power", "no")
    await says(wire, lambda found: found["done"] == "no")
    assert await client.wait_health(frozenset({"ready"}), PATIENCE_S) is not None


async def test_a_reload_adds_and_removes_watches_and_home_assistants_sensors(
    ready: StartReady, connect: AsyncConnect, config: Path
) -> None:
    _, client = await ready(config=config, homeassistant__discovery=True)
    home = Home(await connect.wire("#"))
    components = await home.components()
    assert [components[f"watch:laundry:{key}"]["p"] for key in ("done:yes_no", "room", "load")] == [
        "binary_sensor",
        "sensor",
        "sensor",
    ]
    config.write_text(WATCH.replace('"laundry"', '"other"'))
    home.wire.heard.clear()
    assert (await client.command("reload")).data == {"applied": ["watch"], "restart_needed": []}
    await home.wire.until(lambda message: message.topic == STATE and not message.payload)
    await home.hears("edgeassist/box/watch/other")
    components = await home.components()
    assert components["watch:laundry:done:yes_no"] == {"p": "binary_sensor"}
    assert components["watch:other:done:yes_no"]["stat_t"] == "edgeassist/box/watch/other"


async def test_a_watch_that_was_removed_while_the_daemon_was_away_is_taken_away(
    daemon: StartDaemon, connect: AsyncConnect, config: Path
) -> None:
    first = daemon(config=config, homeassistant__discovery=True)
    home = Home(await connect.wire("#"))
    await home.hears(STATE)
    first.stop()
    home.wire.heard.clear()
    config.write_text("")
    first.start()
    await home.wire.until(lambda message: message.topic == STATE and not message.payload)
    await home.wire.until(
        lambda message: (
            message.topic == CONFIG
            and json.loads(message.payload)["cmps"].get("watch:laundry:room") == {"p": "sensor"}
        )
    )


async def test_a_watch_on_the_devices_own_topics_ends_the_daemon_with_what_to_do(
    daemon: StartDaemon, config: Path
) -> None:
    config.write_text(WATCH.replace('"washer/power"', '"edgeassist/box/watch/#"'))
    running = daemon(config=config)
    async with asyncio.timeout(PATIENCE_S):
        while running.poll() is None:
            await asyncio.sleep(0.05)
    assert running.poll() == ExitStatus.CONFIGURATION
    assert "its answers would be its next question" in running.log.read_text()


async def test_topics_and_what_comes_on_them_are_in_no_log_and_not_in_info(
    ready: StartReady, connect: AsyncConnect, config: Path
) -> None:
    config.write_text(WATCH.replace("washer/power", "secret-topic/a"))
    daemon, client = await ready(config=config, daemon__log_level="debug")
    wire = await connect.wire("edgeassist/box/watch/+")
    wire.say("secret-topic/a", "yes, secret-payload")
    await says(wire, lambda found: found["done"] == "yes")
    info = await client.command("info")
    assert info.data is not None
    assert json.loads(json.dumps(info.data))["settings"]["watch"][0]["topics"][0]["topic"] == "**********"
    shown = daemon.log.read_text() + json.dumps(info.data)
    assert "secret-" not in shown.replace(str(config), "")
