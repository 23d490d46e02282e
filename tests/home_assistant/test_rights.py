"""The lists of rights of the page and of the installer: a real broker, daemon and Home Assistant."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.sandbox import PrivateBroker, PrivateDaemon
from tests.conftest import StartDaemon
from tests.home_assistant.documents import DOCS
from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import UnavailableError, Version, installed
from tests.home_assistant.process import HomeAssistant, home_assistant

pytestmark = pytest.mark.timeout(3000)

LIBRARY = DOCS.parent / "scripts" / "lib" / "mosquitto.sh"
ANSWER = "event.edgeassist_box_answer"


def of_the_page() -> str:
    """Return the list that docs/home-assistant.md shows."""
    (found,) = re.findall(
        r"```\n(user edgeassist\n.*?)```", (DOCS / "home-assistant.md").read_text(), re.DOTALL
    )
    return str(found).replace("kitchen-pi", "box")


def of_the_installer() -> str:
    """Return what scripts/install.sh --with-broker lays."""
    script = f"daemon_account=edgeassist; . {LIBRARY}; broker_acl_text"
    return subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", params=[of_the_page, of_the_installer], ids=["page", "installer"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateBroker]:
    """One with the list, that takes any account at its word and logs what it denies."""
    folder = tmp_path_factory.mktemp("broker")
    (folder / "rights").write_text(request.param())
    lines = ("allow_anonymous true", f"acl_file {folder / 'rights'}", "log_type all")
    with PrivateBroker(folder, lines) as running:
        yield running


@pytest.fixture(scope="module")
def running(broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    try:
        installed(Version.NEWEST)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("home-assistant")
    with home_assistant(folder, broker.port, account="homeassistant") as process:
        yield process


def denied(broker: PrivateBroker) -> list[str]:
    return re.findall(r"^.*Denied.*$", broker.log.read_text(), re.MULTILINE)


async def test_discovery_asks_is_answered_watches_and_cancels(
    house: Driver, daemon: StartDaemon, broker: PrivateBroker, tmp_path: Path
) -> None:
    config = tmp_path / "watch.toml"
    config.write_text(
        '[[watch]]\nname = "door"\ntopics = ["edgeassist/elsewhere/door"]\n'
        '[watch.questions.open]\ntype = "yes_no"\ninstructions = "Open?"\n'
    )
    process = await start(house, daemon, config)
    await house.is_("binary_sensor.edgeassist_box_connectivity", "on")
    await house.shows(
        "sensor.edgeassist_box_model", lambda state: state and "backend" in str(state["attributes"])
    )
    await house.shows(
        "binary_sensor.edgeassist_box_door_open", lambda state: state and "reason" in state["attributes"]
    )
    await house.call("text.set_value", "text.edgeassist_box_ask", value="Hello?")
    await house.shows(ANSWER, lambda state: state and state["attributes"].get("text") == "Hello?")
    question = {"open": {"type": "yes_no", "instructions": "Open?"}}
    await house.call(
        "mqtt.publish",
        topic="edgeassist/box/decide/homeassistant",
        payload=str({"state": "yes yes", "questions": question}).replace("'", '"'),
    )
    await house.shows(ANSWER, lambda state: state and "answers" in state["attributes"])
    await house.call(
        "text.set_value", "text.edgeassist_box_ask", value="!script repeat=400 delay_ms=50\nslowly "
    )
    await house.is_("sensor.edgeassist_box_state", "busy")
    await house.call("button.press", "button.edgeassist_box_cancel")
    await house.shows(ANSWER, lambda state: state and state["attributes"].get("code") == "cancelled")
    process.stop()
    await house.is_(ANSWER, "unavailable")
    assert denied(broker) == []


async def test_a_box_that_is_discovered_is_asked_as_the_client_of_the_list(
    house: Driver, daemon: StartDaemon, broker: PrivateBroker
) -> None:
    await start(house, daemon)
    entry = (await house.submit(await house.discovered("edgeassist")))["result"]
    await house.entry_is(entry["entry_id"], "loaded")
    (agent,) = [
        name
        for name, each in (await house.entities()).items()
        if each["platform"] == "edgeassist" and name.startswith("conversation.")
    ]
    await house.shows(agent, lambda state: state and state["state"] != "unavailable")
    assert (await house.say("Hello?", agent)).speech.endswith("Hello?")
    assert denied(broker) == []
    await house.remove(entry["entry_id"])


async def start(house: Driver, daemon: StartDaemon, config: Path | None = None) -> PrivateDaemon:
    """Start a daemon with its account, and wait until Home Assistant knows that it is ready."""
    process = daemon(config, homeassistant__discovery=True, mqtt__username="edgeassist")
    await house.shows("sensor.edgeassist_box_state", lambda state: state and state["state"] == "ready")
    return process
