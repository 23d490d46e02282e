"""examples/home-assistant in a real Home Assistant, against a real Mosquitto and daemon."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import PrivateBroker, PrivateDaemon
from tests.conftest import AsyncConnect, StartReady, Wire
from tests.home_assistant.driver import Driver, drive
from tests.home_assistant.installation import UnavailableError, Version, installed
from tests.home_assistant.process import HomeAssistant, home_assistant

# The first of these tests makes a Debian and installs Home Assistant in it.
pytestmark = pytest.mark.timeout(3000)

EXAMPLE = Path(__file__).parents[2] / "examples" / "home-assistant"
ROOT = "edgeassist/box"
EVENT = f"{ROOT}/event/homeassistant"
PROMPT = f"{ROOT}/prompt/homeassistant"
# The devices of a home, each in an area of its name, as they tell Home Assistant of themselves.
LIGHT: dict[str, Any] = {"schema": "json", "brightness": True, "sup_clrm": ["color_temp", "hs"]}
HOME: dict[str, dict[str, Any]] = {
    "light/kitchen": {**LIGHT, "cmd_t": "home/kitchen/set"},
    "light/bedroom": {**LIGHT, "cmd_t": "home/bedroom/set"},
    "sensor/nursery": {"stat_t": "home/nursery", "dev_cla": "temperature", "unit_of_meas": "°C"},
    "binary_sensor/door": {"stat_t": "home/door"},
    "sensor/probe": {"stat_t": "home/probe"},
    "sensor/patient": {"stat_t": "home/patient"},
}
# Asks whatever a sensor says.
PROBE = """
- id: NAME
  alias: NAME
  use_blueprint:
    path: edgeassist/ask_and_notify.yaml
    input:
      root: ROOT
      triggers:
        - trigger: state
          entity_id: sensor.NAME
          not_to: [unknown, unavailable]
      question: "{{ trigger.to_state.state }}"
      system: ""
      limit: LIMIT
      answered:
        - action: mqtt.publish
          data:
            topic: test/answered
            payload: "{{ answer.text }}"
      failed:
        - action: mqtt.publish
          data:
            topic: test/failed
            payload: "{{ problem }}"
"""
# Written as Home Assistant's editor writes them.
AUTOMATIONS = f"""
- id: door
  alias: Door
  use_blueprint:
    path: edgeassist/ask_and_notify.yaml
    input:
      root: {ROOT}
      triggers:
        - trigger: state
          entity_id: binary_sensor.door
          to: "on"
- id: typed
  alias: Typed
  use_blueprint:
    path: edgeassist/on_answer.yaml
    input:
      answer: event.edgeassist_box_answer
      from: box
- id: says
  alias: Passes notifications on
  mode: queued
  triggers:
    - trigger: persistent_notification
      update_type: [added, updated]
  actions:
    - action: mqtt.publish
      data:
        topic: test/notified
        payload: "{{{{ trigger.notification.title }}}}: {{{{ trigger.notification.message }}}}"
"""
# The scripted backend takes the option that its state names most often.
WATCH = """
[[watch]]
name = "laundry"
topics = ["washer"]
interval_s = 1
stale_s = STALE
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
DONE, ROOM, LOAD = (
    f"{kind}.edgeassist_box_laundry_{name}"
    for kind, name in (("binary_sensor", "done"), ("sensor", "room"), ("sensor", "load"))
)
AWAY = ("unknown", "unavailable")
SCRIPTS = f"""
tell_the_home:
  alias: Tell the home
  use_blueprint:
    path: edgeassist/tell_the_home.yaml
    input:
      root: {ROOT}
      lights: [light.kitchen]
      sensors: [sensor.nursery]
"""


class House:
    """A running Home Assistant, and a wire to all that is said over MQTT."""

    def __init__(self, wire: Wire, ready: StartReady, driver: Driver) -> None:
        self.wire = wire
        self.driver = driver
        self._ready = ready

    async def device(self, **settings: Any) -> PrivateDaemon:
        """Start the device, and wait until Home Assistant knows it."""
        process, _ = await self._ready(homeassistant__discovery=True, **settings)
        await self.driver.shows(
            "sensor.edgeassist_box_state", lambda state: state and state["state"] not in AWAY
        )
        self.wire.say("home/nursery", "19.5", retain=True)
        await self.driver.is_("sensor.nursery", "19.5")
        self.wire.heard.clear()
        return process

    def heard(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.wire.heard if message.topic == topic]

    async def hears(self, *topics: str) -> str:
        """Wait for the first message on one of these topics."""
        return (await self.wire.until(lambda message: message.topic in topics, 60)).payload.decode()

    async def probe(self, question: str) -> tuple[list[str], list[str]]:
        """Have the automation ask, wait for its end, and return what it did: with an answer, without one."""
        self.wire.heard.clear()
        self.wire.say("home/probe", question)
        await self.hears("test/answered", "test/failed")
        return (
            [payload.decode() for payload in self.heard("test/answered")],
            [payload.decode() for payload in self.heard("test/failed")],
        )

    async def shows(self, entity: str, matches: Callable[[Any], object]) -> dict[str, Any]:
        """Wait until an entity's state (None: there is none) matches, and return it with its attributes."""
        state = await self.driver.shows(entity, matches)
        return {**state["attributes"], "state": state["state"]} if state else {}

    async def told(self, said: str) -> str:
        """Say something to the home, and return what it says, once all that it published is heard."""
        self.wire.heard.clear()
        speech = (await self.driver.say(f"tell the home {said}")).speech
        await self.driver.call("mqtt.publish", topic="test/said", payload=said)
        await self.hears("test/said")
        return speech


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """One for all tests here, because Home Assistant is."""
    with PrivateBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


def readme(alias: str) -> str:
    """Return the automation of that name in the README, as an item of automations.yaml."""
    blocks = re.findall(r"```yaml\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    found = next(block for block in blocks if block.startswith(f"alias: {alias}\n"))
    return item(found)


def item(automation: str) -> str:
    """Return an automation as an item of automations.yaml."""
    return "- " + textwrap.indent(automation, "  ").lstrip()


def probe(name: str, limit: int) -> str:
    """Return an automation that asks what the sensor of that name says, as an item of automations.yaml."""
    return PROBE.replace("NAME", name).replace("LIMIT", str(limit)).replace("ROOT", ROOT).lstrip()


@pytest.fixture(scope="module")
def started(broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    try:
        installed(Version.NEWEST)
    except UnavailableError as error:
        pytest.skip(f"no Home Assistant here: {error}")
    # The patient one waits longer than Home Assistant takes to come back to a broker.
    probes = probe("probe", limit=4) + probe("patient", limit=30)
    with home_assistant(
        tmp_path_factory.mktemp("home-assistant"),
        broker.port,
        automations=AUTOMATIONS + probes + readme("Tell the home by voice"),
        scripts=SCRIPTS,
        blueprints=EXAMPLE / "blueprints",
    ) as running:
        yield running


@pytest.fixture
async def house(started: HomeAssistant, connect: AsyncConnect, ready: StartReady) -> AsyncIterator[House]:
    wire = await connect.wire("#")
    for path, config in HOME.items():
        name = path.partition("/")[2]
        device = {"ids": [path], "name": name, "sa": name.title()}
        names = {"name": None, "uniq_id": path, "def_ent_id": path.replace("/", "."), "dev": device}
        wire.say(f"homeassistant/{path}/config", json.dumps({**names, **config}), retain=True, qos=1)
    async with drive(started) as driver:
        yield House(wire, ready, driver)
    assert started.complaints() == []


async def test_something_that_happens_is_told_in_the_devices_words(house: House) -> None:
    await house.device()
    house.wire.say("home/door", "OFF")
    house.wire.say("home/door", "ON")
    assert await house.hears("test/notified") == ("The house says: door is now on. Tell the people at home.")


async def test_a_failure_of_the_device_is_told_from_an_answer(house: House) -> None:
    await house.device()
    answered, failed = await house.probe("!script fail_after=1\nHello")
    assert answered == []
    assert "step" in failed[0]


async def test_a_question_has_a_time_limit(house: House) -> None:
    await house.device()
    answered, failed = await house.probe("!script prefill_ms=1000\nread slowly")
    assert answered == []
    assert "4 s" in failed[0]


async def test_a_question_to_a_device_that_is_away_ends_too(house: House) -> None:
    (await house.device()).stop()
    assert await house.probe("Is anybody there?") == ([], [f"{ROOT} did not answer within 4 s"])


async def test_many_questions_in_a_row_each_get_their_own_answer(house: House) -> None:
    await house.device()
    for number in range(20):
        assert await house.probe(f"question {number}") == ([f"question {number}"], [])


async def test_anothers_answer_and_one_that_comes_twice_are_not_acted_on(house: House) -> None:
    await house.device()
    house.wire.say("home/probe", "!script repeat=10 delay_ms=100\nslowly ")
    house.wire.say(PROMPT, json.dumps({"id": "other", "prompt": "another's"}))
    assert (await house.hears("test/answered")).startswith("slowly")
    end = await house.wire.until(lambda message: message.topic == EVENT and b"slowly" in message.payload)
    house.wire.say(EVENT, end.payload, qos=1)
    assert await house.probe("afterwards") == (["afterwards"], [])


async def test_a_broker_that_restarts_leaves_no_question_without_an_end(
    house: House, broker: PrivateBroker
) -> None:
    await house.device()
    # Longer than two reports of the device are apart.
    house.wire.say("home/patient", "!script repeat=40 delay_ms=100\nslowly ")
    await house.wire.until(lambda message: b'"running":1' in message.payload)
    broker.stop()
    broker.start()
    await house.hears("test/answered", "test/failed")
    # The sensors came back with the broker, which is nothing to ask about.
    assert sum(b"slowly" in payload for payload in house.heard(PROMPT)) == 1
    assert await house.probe("when all is back") == (["when all is back"], [])


async def test_what_was_typed_into_the_box_is_shown_once_and_not_again_when_the_device_is_back(
    house: House,
) -> None:
    process = await house.device()
    house.wire.say(PROMPT, json.dumps({"prompt": "Hello", "metadata": {"from": "box"}}))
    assert await house.hears("test/notified") == "Hello: Hello"
    house.wire.say(PROMPT, json.dumps({"prompt": "Not this", "metadata": {"from": "elsewhere"}}))
    process.stop()
    await house.device()
    house.wire.say(PROMPT, json.dumps({"prompt": "Again", "metadata": {"from": "box"}}))
    assert await house.hears("test/notified") == "Again: Again"


async def test_lights_on_the_list_do_what_was_said_and_others_nothing(house: House) -> None:
    await house.device(model__path="builtin:tiny")
    commands = {
        "turn on the kitchen light": {"state": "ON"},
        "turn the kitchen lights down to 30 percent": {"state": "ON", "brightness": 76},
        "turn all the lights off": {"state": "OFF"},
    }
    for said, command in commands.items():
        assert await house.told(said) == "Done."
        assert [json.loads(payload) for payload in house.heard("home/kitchen/set")] == [command]
    for said, why in {
        "turn on the bedroom light": "no light in the",
        "lock the garage door": "lights only",
    }.items():
        assert why in await house.told(said)
        assert [message for message in house.wire.heard if message.topic.endswith("/set")] == []


async def test_a_question_is_answered_from_the_sensors_on_the_list(house: House) -> None:
    await house.device(model__path="builtin:tiny")
    assert await house.told("how warm is the nursery") == "The nursery temperature is 19.5 °C."
    assert "no sensor" in await house.told("how warm is the sauna")


async def test_a_home_whose_device_is_away_says_so(house: House) -> None:
    (await house.device()).stop()
    assert "did not answer within" in await house.told("turn on the kitchen light")


async def test_a_watch_is_sensors_that_are_unknown_when_it_is_stale_and_go_with_it(
    house: House, tmp_path: Path
) -> None:
    config = tmp_path / "watch.toml"
    config.write_text(WATCH.replace("STALE", "3600"))
    await house.device(config=config)
    await house.shows(DONE, lambda known: known and known["state"] == "unknown")
    house.wire.say("washer", "yes: in the bath, 3")
    done = await house.shows(DONE, lambda known: known["state"] == "on")
    assert sum(done["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert (done["noul"], done["reason"], done["abstain"]) == (done["probabilities"]["yes"], None, False)
    room = await house.shows(ROOM, lambda known: known["state"] == "bath")
    assert (room["options"], set(room["probabilities"])) == (["kitchen", "bath"], {"kitchen", "bath"})
    load = await house.shows(LOAD, lambda known: known["state"] != "unknown")
    assert float(load["state"]) > 1.5
    assert list(load["probabilities"]) == ["0", "1", "2", "3"]

    config.write_text(WATCH.replace("STALE", "1"))
    house.wire.say(f"{ROOT}/command/reload", b"")
    await house.shows(DONE, lambda known: known["state"] == "unknown")
    house.wire.say("washer", "yes: in the bath, 3")
    await house.wire.until(lambda message: b"no message came for 1 s (stale_s)" in message.payload, 60)
    stale = await house.shows(
        DONE, lambda known: known["state"] == "unknown" and known["attributes"]["reason"]
    )
    assert stale["reason"] == "no message came for 1 s (stale_s)"

    config.write_text("")
    house.wire.say(f"{ROOT}/command/reload", b"")
    for entity in (DONE, ROOM, LOAD):
        await house.shows(entity, lambda known: known is None)
