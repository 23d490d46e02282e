"""Many requests while boxes and brokers die and come back: all are answered, and the log says nothing of us.

`HOUSE_REQUESTS=500` for a long run.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from edgeassist.sandbox import PrivateBroker, PrivateDaemon
from tests.conftest import StartReady, Wire
from tests.home_assistant.boxes import AGENT, CLIENT, TASK, add_box, generate, remove_boxes
from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import Version, tried
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.toys import ORDINARY

REQUESTS = int(os.environ.get("HOUSE_REQUESTS", "40"))
pytestmark = pytest.mark.timeout(1500 + 10 * REQUESTS)

AT_ONCE = 10
DATA = {"title": "Storm", "kind": "wind"}
STRUCTURE = {
    "title": {"required": True, "selector": {"text": {}}},
    "kind": {"required": True, "selector": {"select": {"options": ["rain", "wind"]}}},
}
# A call of the model's that was carried out can't be taken back when the box runs the request anew.
AGAIN = "The box was restarted while it answered. Please ask again."
# Long enough to be cut by what happens meanwhile.
SLOW = "!script repeat=40 delay_ms=25\nword"


@pytest.fixture(scope="module", params=tried(Version.NEWEST, Version.OLDEST))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


def answers(version: Version) -> dict[str, str]:
    """Return what the model says."""
    prefix = "" if version is Version.OLDEST else "intent__"
    call = {"name": f"{prefix}HassTurnOn", "arguments": {"name": "Kitchen light"}}
    return {
        "*the kitchen light": f"<tool_call>\n{json.dumps(call)}\n</tool_call>",
        "Done: Kitchen light.": "It is on.",
        "*as data": json.dumps(DATA),
        "*": SLOW,
    }


class Storm:
    """Asks a box, and lets it and its broker die meanwhile."""

    def __init__(self, house: Driver, broker: PrivateBroker, daemon: PrivateDaemon, kinds: int) -> None:
        self._house = house
        self._broker = broker
        self._daemon = daemon
        self._kinds = kinds

    async def is_there(self) -> None:
        for entity in (AGENT, TASK):
            await self._house.shows(entity, lambda state: state and state["state"] != "unavailable")

    async def ask(self, numbers: range, happens: int, after_s: float) -> list[Any]:
        """Ask at once, and return the answers; something happens as soon as all is with the box."""
        await self.is_there()
        topics = (f"edgeassist/box/prompt/{CLIENT}", f"edgeassist/box/decide/{CLIENT}")
        async with Wire(self._broker.port, topics) as wire:
            asking = [asyncio.create_task(self._ask(number)) for number in numbers]
            await wire.until(lambda _: begun(wire) >= len(numbers))
        await asyncio.sleep(after_s)
        match happens % 4:
            case 0:
                await self._away(lambda: os.kill(self._daemon.pid, SIGKILL), self._daemon)
            case 1:
                await self._away(self._broker.stop, self._broker)
            case 2:
                await self._away(self._daemon.stop, self._daemon)
        return await asyncio.gather(*asking)

    async def _away(self, end: Callable[[], object], process: PrivateBroker | PrivateDaemon) -> None:
        """End a process, and start it again when Home Assistant knows."""
        await asyncio.to_thread(end)
        await self._house.is_(TASK, "unavailable")
        await asyncio.to_thread(process.stop)
        await asyncio.to_thread(process.start)

    async def _ask(self, number: int) -> Any:
        house = self._house
        match number % self._kinds:
            case 0:
                # One that is confirmed at once, or one of two rounds.
                words = "light up" if number % 4 else "what about"
                return (await house.say(f"{words} the kitchen light", AGENT)).speech
            case 1 | 2:
                return (await house.say(f"{number}: how are you", AGENT)).speech
            case 3:
                return await generate(house, f"{number}: say it")
            case 4:
                return await generate(house, f"{number}: say it as data", structure=STRUCTURE)
            case _:
                question = {"wet": {"type": "noul", "instructions": f"{number}: is it wet?"}}
                about = {"task_name": "test", "entity_id": TASK, "state": "rain", "questions": question}
                return await house.call("ai_task.evaluate", response=True, **about)


async def test_requests_outlive_boxes_and_brokers_that_restart_and_nothing_is_logged(
    house: Driver, running: HomeAssistant, broker: PrivateBroker, ready: StartReady, tmp_path: Path
) -> None:
    # Home Assistant's own, of what it publishes where a connection breaks. Ours would name our folder.
    running.silent += ["paho.mqtt.client]", "Task exception was never retrieved (task: None)"]
    running.silent += ["mqtt.client] No ACK from MQTT server"]
    said = tmp_path / "answers.json"
    said.write_text(json.dumps(answers(running.version)))
    daemon, _ = await ready(model__backend="scripted", model__path=said, homeassistant__discovery=True)
    await house.furnish(ORDINARY)
    entry = await add_box(house)
    storm = Storm(house, broker, daemon, 5 if running.version is Version.OLDEST else 6)
    again = 0
    for number, begin in enumerate(range(0, REQUESTS, AT_ONCE)):
        found = await storm.ask(range(begin, begin + AT_ONCE), number, after_s=number % 7 * 0.1)
        again += found.count(AGAIN)
        print(f"{begin + AT_ONCE} asked, {again} of them to be asked again", flush=True)  # noqa: T201
        assert [answer for answer in found if answer != AGAIN and not is_answer(answer)] == []
        if number % 4 == 3:
            await storm.is_there()
            await house.reload(entry["entry_id"])
    assert again < max(REQUESTS / 10, 3)
    await storm.is_there()
    for by in ("user", None):
        await house.command("config_entries/disable", entry_id=entry["entry_id"], disabled_by=by)
    await storm.is_there()
    assert await house.issues("edgeassist") == []
    await remove_boxes(house)
    lines = running.log.read_text().splitlines()
    assert [line for line in lines if "edgeassist" in line.lower() and "custom integration" not in line] == []


def begun(wire: Wire) -> int:
    """Return how many questions were heard; results of tools are none."""
    return sum(b'"role":"tool"' not in message.payload for message in wire.heard)


def is_answer(answer: Any) -> bool:
    return (
        answer in (DATA, "It is on.", "Turned on the Kitchen light.")
        or "word" in str(answer)
        or "noul" in str(answer)
    )
