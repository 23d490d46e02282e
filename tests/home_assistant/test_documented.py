"""Every YAML of our documents, in the newest and the oldest Home Assistant, with a real broker and daemon."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeassist.gateways.homeassistant.entities import EXPIRY_S
from tests.conftest import AsyncConnect, StartDaemon, StartReady, Wire
from tests.home_assistant.documents import (
    DOCS,
    EXAMPLE,
    all_blocks,
    automations,
    blocks,
    card,
    of_older,
    scripts,
)
from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import Version, tried
from tests.home_assistant.toys import Area, Home, Toy
from tests.home_assistant.wire import Events

# The first of these tests makes a Debian and installs Home Assistant in it.
pytestmark = pytest.mark.timeout(3000)

ANSWER = "event.edgeassist_box_answer"
STATE = "sensor.edgeassist_box_state"
PROMPT = "edgeassist/box/prompt/homeassistant"
HOME = Home(
    areas=(Area("Kitchen"), Area("Bedroom"), Area("Garden")),
    toys=(
        Toy("light.kitchen", "Kitchen light", "Kitchen", state="off"),
        Toy("light.bedroom", "Bedroom light", "Bedroom", state="off"),
        Toy("cover.front_door", "Front door", "Kitchen", state="closed"),
        Toy(
            "sensor.garden_temperature",
            "Garden temperature",
            "Garden",
            state="12.5",
            attributes={"device_class": "temperature", "unit_of_measurement": "°C"},
        ),
    ),
)
TELL = """
tell_the_home:
  alias: Tell the home
  use_blueprint:
    path: edgeassist/tell_the_home.yaml
    input:
      root: edgeassist/box
      lights: [light.kitchen, light.bedroom]
      sensors: [sensor.garden_temperature]
"""
ASK = """
- alias: Ask and notify
  use_blueprint:
    path: edgeassist/ask_and_notify.yaml
    input:
      root: edgeassist/box
      triggers:
        - trigger: state
          entity_id: cover.front_door
      limit: 20
"""


@pytest.fixture(scope="module", params=tried(Version.NEWEST, Version.OLDEST))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


@pytest.fixture(scope="module")
def beside(version: Version) -> dict[str, Any]:
    """All that the documents show and that this version can do."""
    shown = all_blocks()
    if version is Version.OLDEST:
        shown = [of_older(block) for block in shown if "trigger: event.received" not in block]
    else:
        shown = [block for block in shown if "before 2026.4" not in block]
    return {
        "automations": automations(shown) + ASK,
        "scripts": scripts(shown) + TELL,
        # What is left out here names the version that it needs: Home Assistant would complain of it.
        "blueprints": EXAMPLE / "blueprints",
    }


class Notes:
    """The notifications that come while somebody listens."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def next(self) -> tuple[str, str]:
        """Wait for the next one; return its title and its message."""
        event = await self._events.until(lambda event: event["type"] in {"added", "updated"})
        (note,) = event["notifications"].values()
        return note["title"], note["message"]

    async def none_before(self, said: str, house: Driver) -> None:
        """Check that the next one is one that is made now, with this message."""
        await house.call("persistent_notification.create", title="Now", message=said)
        assert await self.next() == ("Now", said)


@asynccontextmanager
async def notes(house: Driver) -> AsyncIterator[Notes]:
    async with house.subscribe("persistent_notification/subscribe") as events:
        yield Notes(events)


@pytest.fixture
async def wire(connect: AsyncConnect) -> Wire:
    return await connect.wire("#")


async def box(house: Driver, ready: StartReady, **settings: Any) -> Any:
    """Start the box, and wait until Home Assistant knows how it is."""
    process, _ = await ready(homeassistant__discovery=True, **settings)
    await house.shows(STATE, lambda state: state and state["state"] == "ready")
    return process


async def answered(house: Driver, wire: Wire, prompt: str, **fields: Any) -> str:
    """Ask as an automation does, and wait until Home Assistant shows the answer."""
    wire.say(PROMPT, json.dumps({"prompt": prompt, "stream": False, **fields}), qos=1)
    state = await house.shows(ANSWER, lambda state: state and state["attributes"].get("question") == prompt)
    return str(state["attributes"]["text"])


async def test_the_first_example_is_answered_by_the_built_in_model_and_shown(
    house: Driver, ready: StartReady
) -> None:
    await house.furnish(HOME)
    await box(house, ready, model__path="builtin:tiny")
    async with notes(house) as heard:
        await house.call("automation.trigger", "automation.ask_how_warm_the_garden_is")
        assert await heard.next() == ("The house says", "The garden temperature is 12.5 °C.")


async def test_an_answer_that_is_json_is_text_in_the_card_and_in_the_notification(
    house: Driver, ready: StartReady, wire: Wire
) -> None:
    await box(house, ready, model__path="builtin:tiny")
    async with notes(house) as heard:
        text = await answered(house, wire, "turn on the kitchen light", metadata={"from": "morning"})
        assert json.loads(text)["action"] == "turn_on"
        assert await heard.next() == ("The house says", text)
    content = card(blocks(DOCS / "home-assistant.md"))
    assert await house.render(content) == f"The house says: {text}"
    # As the page says: without words before it, it is an object.
    assert await house.render(content.removeprefix("The house says: ")) == json.loads(text)


async def test_an_entity_that_goes_and_comes_back_is_no_answer_and_no_error(
    house: Driver, ready: StartReady, wire: Wire
) -> None:
    process = await box(house, ready)
    async with notes(house) as heard:
        await answered(house, wire, "once", metadata={"from": "morning"})
        assert await heard.next() == ("The house says", "once")
        await asyncio.to_thread(process.stop)
        await house.is_(ANSWER, "unavailable")
        process = await box(house, ready)
        await asyncio.to_thread(process.stop)
        # Without discovery it takes its entities away.
        process, _ = await ready()
        await house.shows(ANSWER, lambda state: state is None)
        await asyncio.to_thread(process.stop)
        await box(house, ready)
        await heard.none_before("now", house)
        await answered(house, wire, "again", metadata={"from": "morning"})
        assert await heard.next() == ("The house says", "again")


async def test_a_box_with_another_name_is_one_device_and_not_two(
    house: Driver, ready: StartReady, daemon: StartDaemon
) -> None:
    async def devices() -> set[str]:
        return {each["name"] for each in await house.devices() if each["manufacturer"] == "EdgeAssist"}

    process = await box(house, ready)
    assert await devices() == {"EdgeAssist box"}
    await asyncio.to_thread(process.stop)
    hall = daemon(homeassistant__discovery=True, device__name="hall")
    await house.shows(STATE, lambda state: state is None)
    await house.is_("sensor.edgeassist_hall_state", "ready")
    assert await devices() == {"EdgeAssist hall"}
    # And back.
    await asyncio.to_thread(hall.stop)
    await box(house, ready)
    await house.shows("sensor.edgeassist_hall_state", lambda state: state is None)
    assert await devices() == {"EdgeAssist box"}


async def test_what_is_typed_and_cancelled_expires_where_home_assistant_can_say_so(
    house: Driver, ready: StartReady, wire: Wire, version: Version
) -> None:
    await box(house, ready)
    await house.call("text.set_value", "text.edgeassist_box_ask", value="Hello?")
    await house.shows(ANSWER, lambda state: state and state["attributes"].get("question") == "Hello?")
    await house.call("button.press", "button.edgeassist_box_cancel")
    cancelled = await wire.until(lambda message: message.topic == "edgeassist/box/command/cancel")
    typed = next(message for message in wire.heard if message.topic == PROMPT)
    least, most = (EXPIRY_S - 10, EXPIRY_S) if version is Version.NEWEST else (None, None)
    for message in (typed, cancelled):
        assert message.expiry_s == least or (
            least is not None and least < (message.expiry_s or 0) <= (most or 0)
        )


async def test_a_decision_of_the_document_is_asked_and_told_when_it_is_sure(
    house: Driver, ready: StartReady, wire: Wire, version: Version
) -> None:
    if version is not Version.NEWEST:
        pytest.skip("its answer is taken by event.received")
    await box(house, ready)
    async with notes(house) as heard:
        # The scripted model takes the option that its state names most often.
        wire.say("house/message", "no hurry, no")
        await wire.until(lambda message: message.topic.endswith("/event/homeassistant"))
        wire.say("house/message", "yes yes yes yes, the cellar is under water")
        title, message = await heard.next()
        assert title == "Urgent"
        assert re.fullmatch(r"\d+ % sure", message)
        assert int(message.partition(" ")[0]) > 80


async def test_the_laundry_of_the_document_is_told_once_it_has_finished(
    house: Driver, ready: StartReady, wire: Wire, tmp_path: Path
) -> None:
    toml = re.findall(r"```toml\n(.*?)```", (DOCS / "watches.md").read_text(), re.DOTALL)[0]
    # Sooner, and of one value, which is the scripted model's answer.
    config = tmp_path / "watch.toml"
    config.write_text(
        toml.replace("interval_s = 60", "interval_s = 1")
        .replace("dwell_s = 180", "")
        .replace("keep = 10", "keep = 1")
    )
    done = "binary_sensor.edgeassist_box_laundry_done"
    await box(house, ready, config=config)
    async with notes(house) as heard:
        wire.say("zigbee2mqtt/washer", '{"power": "no no no"}')
        await house.is_(done, "off")
        wire.say("zigbee2mqtt/washer", '{"power": "yes yes yes yes"}')
        assert await heard.next() == ("Laundry", "The washing machine has finished.")


@pytest.mark.parametrize(
    ("said", "words", "lit"),
    [
        ("turn on all lights", "Done.", {"light.kitchen", "light.bedroom"}),
        ("turn on the kitchen light", "Done.", {"light.kitchen"}),
        ("turn on the lights", "In which room?", set()),
        ("turn on the garage light", "There is no light in the garage that I may switch.", set()),
        ("lock the garage door", "I may switch lights only.", set()),
        ("how warm is the garden", "The garden temperature is 12.5 °C.", set()),
    ],
)
async def test_what_is_said_to_the_home_is_done_or_answered_in_words(
    house: Driver, ready: StartReady, said: str, words: str, lit: set[str]
) -> None:
    await house.furnish(HOME)
    await box(house, ready, model__path="builtin:tiny")
    assert (await house.say(f"tell the home {said}")).speech == words
    states = await house.states()
    assert {
        name for name, state in states.items() if name.startswith("light.") and state["state"] == "on"
    } == lit


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"lamp":"light.kitchen","brightness_pct":30}', ("Done.", 76)),
        ('{"lamp":"none","brightness_pct":0}', ("I know no such lamp.", None)),
        ("!script fail_after=1", (None, None)),
    ],
)
async def test_a_lamp_of_the_schema_is_dimmed_and_all_else_is_told(
    house: Driver, ready: StartReady, tmp_path: Path, answer: str, told: tuple[str | None, int | None]
) -> None:
    words, brightness = told
    await house.furnish(HOME)
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"darker": answer}))
    await box(house, ready, model__backend="scripted", model__path=answers)
    result = await house.call("script.dim_as_said", response=True, said="darker")
    assert result["text"] == words if words else "Done" not in result["text"]
    kitchen = (await house.states())["light.kitchen"]
    assert kitchen["attributes"].get("brightness") == brightness


async def test_a_box_that_is_away_is_told_by_every_script(
    house: Driver, ready: StartReady, version: Version
) -> None:
    await house.furnish(HOME)
    await asyncio.to_thread((await box(house, ready)).stop)
    said = [
        (await house.call(f"script.{name}", response=True, said="darker"))["text"]
        for name in ("tell_the_home", "dim_as_said")
    ]
    assert all("did not answer" in text for text in said), said


async def test_the_built_in_model_takes_no_event_for_a_command(house: Driver, ready: StartReady) -> None:
    await house.furnish(HOME)
    await box(house, ready, model__path="builtin:tiny")
    async with notes(house) as heard:
        await house.call("cover.open_cover", "cover.front_door")
        await house.is_("cover.front_door", "open")
        title, message = await heard.next()
        assert title == "The house has no answer"
        assert re.search(r'took the question for a command, {"action":"open",.*writes no sentences', message)
    # An entity that is removed asks nothing, and is no error.
    await house.furnish(Home(areas=(), toys=()))


def test_no_document_shows_yaml_that_is_not_tried() -> None:
    for block in all_blocks():
        assert block.startswith(("alias: ", "# scripts.yaml\n", "type: markdown\n")), block
