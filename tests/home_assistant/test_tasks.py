"""AI tasks on real Home Assistants: data of a structure, decisions, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import AsyncConnect, StartReady
from tests.home_assistant.boxes import CLIENT, TASK, add_box, generate
from tests.home_assistant.driver import Driver
from tests.home_assistant.installation import Version, tried
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.wire import CommandError

pytestmark = pytest.mark.timeout(1500)

STRUCTURE: dict[str, Any] = {
    "title": {"description": "What it is about", "required": True, "selector": {"text": {}}},
    "kind": {"required": True, "selector": {"select": {"options": ["rain", "wind"]}}},
    "level": {"selector": {"number": {"min": 0, "max": 10}}},
    "when": {"selector": {"time": {}}},
    "where": {"selector": {"entity": {"multiple": False}}},
    "urgent": {"selector": {"boolean": {}}},
}
QUESTIONS: dict[str, Any] = {
    "delivered?": {"type": "noul", "instructions": "Has the package arrived?"},
    "room": {
        "type": "choice",
        "instructions": "Which room is meant?",
        "criteria": {"kitchen": "where one cooks", "hall": "hall", "x" * 70: "a long one"},
    },
    "risk": {
        "type": "score",
        "instructions": "How risky is it?",
        "criteria": ["none at all", "some", "y" * 80],
    },
}


@pytest.fixture(scope="module", params=tried(Version.NEWEST, Version.OLDEST))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


@pytest.fixture(scope="module")
def beside() -> dict[str, Any]:
    """An integration that gives tasks tools."""
    return {"configuration": "task_caller:\n", "components": [Path(__file__).parent / "task_caller"]}


@pytest.fixture(autouse=True)
def refusals(running: HomeAssistant) -> None:
    """Let Home Assistant log, as it does, that an action was refused."""
    running.silent.append("websocket_api.http.connection]")


async def answering(ready: StartReady, folder: Path, answers: dict[str, str]) -> None:
    """Start a box whose model says this."""
    path = folder / "answers.json"
    path.write_text(json.dumps(answers))
    await ready(model__backend="scripted", model__path=path)


async def evaluate(house: Driver, state: Any, questions: dict[str, Any] | None = None) -> dict[str, Any]:
    done = await house.call(
        "ai_task.evaluate",
        response=True,
        task_name="test",
        entity_id=TASK,
        state=state,
        questions=questions or QUESTIONS,
    )
    answers: dict[str, Any] = done["answers"]
    return answers


async def test_text_and_data_are_generated_and_what_is_not_known_is_left_out(
    house: Driver, ready: StartReady, tmp_path: Path
) -> None:
    known = {"title": "Storm", "kind": "wind", "when": "07:30:00", "urgent": True}
    said = json.dumps({**known, "level": None, "where": None})
    await answering(ready, tmp_path, {"*as data": said, "*in words": "The door is open."})
    await add_box(house)
    assert await generate(house, "Say it in words") == "The door is open."
    assert await generate(house, "Say it as data", structure=STRUCTURE) == known


async def test_what_a_task_says_is_refused_in_words(house: Driver, ready: StartReady) -> None:
    await ready()
    await add_box(house)
    with pytest.raises(CommandError, match="attachments"):
        await generate(
            house,
            "What is it?",
            attachments=[{"media_content_id": "media-source://x/y", "media_content_type": "image/png"}],
        )
    with pytest.raises(CommandError, match="too long for the box"):
        await generate(house, "x" * 300_000)
    with pytest.raises(CommandError, match=r"need \d+ tokens, and the model's context holds 4096"):
        await generate(house, "word " * 8000)


async def test_a_model_fills_in_a_structure_whatever_it_would_say(
    house: Driver, ready: StartReady, trial_model: Path
) -> None:
    await ready(model__path=trial_model, model__backend="llama")
    await add_box(house)
    for number in range(3):
        found = await generate(
            house,
            f"{number}: a storm in the kitchen",
            structure={
                **STRUCTURE,
                "title": {"required": True, "selector": {"select": {"options": ["a", "b"]}}},
            },
        )
        assert {"title", "kind"} <= set(found) <= set(STRUCTURE)
        assert found["kind"] in {"rain", "wind"}


async def test_questions_are_evaluated_at_once_with_probabilities(
    house: Driver, ready: StartReady, version: Version
) -> None:
    await ready()
    await add_box(house)
    features = (await house.states())[TASK]["attributes"]["supported_features"]
    if version is Version.OLDEST:
        assert features == 1
        with pytest.raises(CommandError):
            await evaluate(house, "It rains.")
        return
    assert features == 1 | 8
    answers = await evaluate(house, {"door": "open", "since": 5})
    assert list(answers) == list(QUESTIONS)
    assert 0 <= answers["delivered?"]["noul"] <= 1
    assert list(answers["room"]["probabilities"]) == list(QUESTIONS["room"]["criteria"])
    assert answers["room"]["choice"] in answers["room"]["probabilities"]
    assert sum(answers["room"]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert len(answers["risk"]["probabilities"]) == 3
    assert answers["risk"]["score"] == pytest.approx(
        sum(at * each for at, each in enumerate(answers["risk"]["probabilities"])), abs=1e-4
    )
    with pytest.raises(CommandError, match="is empty"):
        await evaluate(house, "  ")


@pytest.mark.parametrize("structured", [False, True])
async def test_a_task_may_call_tools_before_it_says_what_came_of_it(
    house: Driver,
    ready: StartReady,
    connect: AsyncConnect,
    version: Version,
    tmp_path: Path,
    *,
    structured: bool,
) -> None:
    name = "GetDateTime" if version is Version.OLDEST else "llm__GetDateTime"
    call = json.dumps({"name": name, "arguments": {}})
    answers = {
        "*what time is it": f"<tool_call>\n{call}\n</tool_call>",
        "*one JSON object*": '{"title":"Late"}',
        "*": "It is late.",
    }
    await answering(ready, tmp_path, answers)
    await add_box(house)
    wire = await connect.wire(f"edgeassist/box/prompt/{CLIENT}")
    done = await house.call(
        "task_caller.ask", response=True, task=TASK, instructions="what time is it", structured=structured
    )
    assert done["data"] == ({"title": "Late"} if structured else "It is late.")
    requests = [json.loads(message.payload) for message in wire.heard]
    assert len(requests) == (3 if structured else 2)
    [result] = [each["content"] for each in requests[1]["messages"] if each["role"] == "tool"]
    assert "error" not in result
    # A box takes no tools beside a schema.
    assert ["json_schema" in each for each in requests] == [False, False, True][: len(requests)]
    assert ["tools" in each for each in requests] == [True, True, False][: len(requests)]
    for before, after in pairwise(each["messages"] for each in requests):
        assert after[: len(before)] == before
