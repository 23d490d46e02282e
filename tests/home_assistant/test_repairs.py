"""What a setting mends is a repair issue, which goes when it is mended; and what diagnostics tell."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import PrivateBroker
from tests.component import FOLDER
from tests.conftest import AsyncConnect, StartReady
from tests.home_assistant.boxes import AGENT, CLIENT, TASK, add_box, generate, remove_boxes
from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import Version, tried
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.wire import CommandError
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.timeout(1500)

OPEN_TO_ALL = "topic readwrite #\n"
INFO = "edgeassist/box/info"
SAID = "Mrs Peacock with the candlestick"


@pytest.fixture(scope="module", params=tried(Version.NEWEST, Version.OLDEST))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


@pytest.fixture(scope="module")
def acl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The broker's access control list."""
    path = tmp_path_factory.mktemp("acl") / "acl"
    path.write_text(OPEN_TO_ALL)
    return path


@pytest.fixture(scope="module")
def broker(acl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with PrivateBroker(
        tmp_path_factory.mktemp("broker"), ["allow_anonymous true", f"acl_file {acl}"]
    ) as running:
        yield running


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An integration to which a day is a second."""
    hasty = tmp_path_factory.mktemp("hasty") / "edgeassist"
    shutil.copytree(FOLDER, hasty, ignore=shutil.ignore_patterns("__pycache__"))
    constants = hasty / "const.py"
    text = constants.read_text()
    assert "GONE_AFTER_S = 24 * 60 * 60" in text
    constants.write_text(text.replace("GONE_AFTER_S = 24 * 60 * 60", "GONE_AFTER_S = 1"))
    return {"components": [hasty]}


@pytest.fixture(autouse=True)
async def apart(house: Driver, running: HomeAssistant) -> None:
    """Begin without a box; Home Assistant may log, as it does, that an action was refused."""
    running.silent.append("websocket_api.http.connection]")
    await remove_boxes(house)


async def issue(house: Driver, kind: str) -> dict[str, Any]:
    return await house.issue("edgeassist", lambda each: each["translation_key"] == kind)


async def no_issues(house: Driver) -> None:
    """Wait until there are none."""
    kind = "repairs_issue_registry_updated"
    async with asyncio.timeout(PATIENCE_S), house.subscribe("subscribe_events", event_type=kind) as events:
        while await house.issues("edgeassist"):
            await events.next()


async def fix(house: Driver, found: dict[str, Any]) -> dict[str, Any]:
    """Go through the flow of an issue, and return its form."""
    form: dict[str, Any] = await house.request(
        "POST", "repairs/issues/fix", {"handler": "edgeassist", "issue_id": found["issue_id"]}
    )
    assert form["step_id"] == "confirm"
    done = await house.request("POST", f"repairs/issues/fix/{form['flow_id']}", {})
    assert done["type"] == "create_entry"
    return form


async def test_a_context_that_is_too_small_is_an_issue_until_it_is_larger(
    house: Driver, ready: StartReady
) -> None:
    daemon, _ = await ready()
    await add_box(house)
    with pytest.raises(CommandError, match=r"raise|Raise"):
        await generate(house, "word " * 8000)
    found = await issue(house, "context_too_small")
    assert not found["is_fixable"]
    told = found["translation_placeholders"]
    assert int(told["needed"]) > 8000
    assert told["context"] == "4096"
    assert int(told["suggested"]) >= int(told["needed"]) + 1000
    daemon.stop()
    await ready(model__context=16_384)
    await no_issues(house)
    assert "word word" in await generate(house, "word " * 8000)


async def test_an_answer_withdraws_an_issue_of_its_agent(house: Driver, ready: StartReady) -> None:
    await ready()
    await add_box(house)
    with pytest.raises(CommandError):
        await generate(house, "word " * 8000)
    await issue(house, "context_too_small")
    await generate(house, "word")
    await no_issues(house)


async def test_a_box_of_another_protocol_is_an_issue_until_it_speaks_ours(
    house: Driver, ready: StartReady, connect: AsyncConnect
) -> None:
    _, client = await ready()
    await add_box(house)
    wire = await connect.wire(INFO)
    info = json.loads((await wire.until(lambda message: message.topic == INFO)).payload)
    wire.say(INFO, json.dumps({**info, "protocol": 7}), retain=True)
    found = await issue(house, "protocol_unknown")
    assert found["translation_placeholders"] == {"box": "box", "version": "7"}
    await house.is_(TASK, "unavailable")
    assert "version 7" in (await house.say("hello", AGENT)).speech
    wire.say(INFO, json.dumps(info), retain=True)
    await no_issues(house)
    assert (await generate(house, "well")).endswith("well")
    assert (await client.command("ping")).status == "ok"


async def test_an_agent_whose_model_has_no_tools_is_an_issue_that_can_be_mended_here(
    house: Driver, ready: StartReady, connect: AsyncConnect
) -> None:
    await ready()
    entry = await add_box(house)
    wire = await connect.wire(INFO)
    info = json.loads((await wire.until(lambda message: message.topic == INFO)).payload)
    without = {**info, "capabilities": {**info["capabilities"], "fields": ["id", "messages"]}}
    wire.say(INFO, json.dumps(without), retain=True)
    found = await issue(house, "model_without_tools")
    assert found["is_fixable"]
    wire.say(INFO, json.dumps(info), retain=True)
    await no_issues(house)
    wire.say(INFO, json.dumps(without), retain=True)
    form = await fix(house, await issue(house, "model_without_tools"))
    assert form["description_placeholders"]["agent"] == "EdgeAssist"
    await no_issues(house)
    await house.shows(AGENT, lambda state: state and state["attributes"].get("supported_features") == 0)
    [agent, _] = (await house.diagnostics(entry["entry_id"]))["data"]["subentries"]
    assert "llm_hass_api" not in agent["settings"]


async def test_a_box_that_stays_away_is_an_issue_and_goes_with_it_if_that_is_wanted(
    house: Driver, ready: StartReady
) -> None:
    daemon, _ = await ready()
    await add_box(house)
    daemon.stop()
    found = await issue(house, "box_gone")
    assert found["severity"] == "warning"
    assert (await house.say("hello", AGENT)).speech == "The box box is offline."
    with pytest.raises(CommandError, match="offline"):
        await generate(house, "hello")
    await ready()
    await no_issues(house)
    await house.shows(TASK, lambda state: state and state["state"] != "unavailable")
    daemon.stop()


async def test_a_box_that_is_gone_for_good_can_be_removed_by_its_issue(
    house: Driver, ready: StartReady
) -> None:
    daemon, _ = await ready()
    await add_box(house)
    daemon.stop()
    await fix(house, await issue(house, "box_gone"))
    assert await house.entries("edgeassist") == []
    await no_issues(house)


@pytest.mark.parametrize("model", ["scripted", "builtin:tiny"])
async def test_a_broker_that_refuses_what_is_asked_is_an_issue_that_names_the_topics(
    house: Driver, ready: StartReady, broker: PrivateBroker, acl: Path, model: str
) -> None:
    settings: dict[str, Any] = {} if model == "scripted" else {"model__path": model}
    await ready(**settings)
    await add_box(house)

    async def allow(rules: str) -> None:
        acl.write_text(rules)
        reloads = broker.log.read_text().count("Reloading config")
        os.kill(broker.pid, signal.SIGHUP)
        async with asyncio.timeout(PATIENCE_S):
            while broker.log.read_text().count("Reloading config") == reloads:
                await asyncio.sleep(0.02)

    await allow(f"{OPEN_TO_ALL}topic deny edgeassist/box/prompt/{CLIENT}\n")
    try:
        with pytest.raises(CommandError, match="does not answer"):
            await generate(house, "hello")
        await issue(house, "box_silent")
        assert (await house.say("hello", AGENT)).speech == "The box does not answer."
        found = await issue(house, "box_silent")
        assert found["translation_placeholders"] == {
            "box": "box",
            "asks": f"edgeassist/box/+/{CLIENT}",
            "answers": f"edgeassist/box/reply/{CLIENT}/+",
        }
    finally:
        await allow(OPEN_TO_ALL)
    assert await generate(house, "hello")
    await no_issues(house)


async def test_diagnostics_have_what_helps_and_nothing_that_was_said_or_is_secret(
    house: Driver, ready: StartReady
) -> None:
    await ready(model__system=SAID, decisions__temperature=2.0)
    entry = await add_box(house)
    assert (await generate(house, SAID)).endswith(SAID)
    found = (await house.diagnostics(entry["entry_id"]))["data"]
    text = json.dumps(found)
    for secret in (SAID, "127.0.0.1", "Mrs", '"prompt":', CLIENT):
        assert secret not in text, secret
    assert found["online"]
    assert found["info"]["model"]["name"] == "scripted"
    assert found["info"]["settings"]["model"]["context"] == 4096
    assert found["info"]["settings"]["decisions"]["temperature"] == 2.0
    assert found["last"]["usage"]["completion_tokens"] > 0
    assert found["issues"] == []
    assert [each["type"] for each in found["subentries"]] == ["conversation", "ai_task_data"]


@pytest.mark.parametrize("language", ["en", "de", "zh-Hans"])
async def test_home_assistant_has_all_texts_in_each_language(house: Driver, language: str) -> None:
    texts = json.loads((FOLDER / "translations" / f"{language}.json").read_text())
    issues = await house.translations("edgeassist", "issues", language)
    for kind, text in texts["issues"].items():
        assert issues[f"component.edgeassist.issues.{kind}.title"] == text["title"]
    sentences = await house.translations("edgeassist", "exceptions", language)
    for key, text in texts["exceptions"].items():
        assert sentences[f"component.edgeassist.exceptions.{key}.message"] == text["message"]
