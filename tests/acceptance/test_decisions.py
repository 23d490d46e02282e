"""Decisions of the built-in model, on both backends, as a device asks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeassist.client.requester import Requester
from edgeassist.models.builtin import TINY
from edgeassist.protocol.decisions import DecisionAnswer
from edgeassist.protocol.events import Done
from tests.conftest import StartReady, TakeBox

STATE = {"sensors": {"kitchen window": "open", "bedroom window": "closed"}, "said": "It is too dark to cook"}
ROOMS = ["kitchen", "bathroom", "bedroom"]
QUESTIONS: dict[str, Any] = {
    "room": {"type": "choice", "instructions": "Which room is meant?", "criteria": ROOMS},
    "open": {"type": "yes_no", "instructions": "Is the kitchen window open?"},
    "risk": {"type": "score", "instructions": "How risky is it?", "minimum": 0, "maximum": 10, "step": 5},
    "房间": {
        "type": "choice",
        "instructions": "说的是哪个房间？",
        "criteria": {"厨房": "做饭", "卧室": None},
    },
}
BACKENDS = pytest.mark.parametrize("backend", ["llama", "onnx"])


async def decide(client: Requester, questions: dict[str, Any], **fields: Any) -> Done:
    """Return the one event of a decision."""
    events = [event async for event in client.decide(**{"state": STATE, "questions": questions, **fields})]
    (done,) = events
    assert isinstance(done, Done), done
    return done


def answers_of(done: Done) -> dict[str, DecisionAnswer]:
    assert done.answers is not None
    return done.answers


def told(answer: DecisionAnswer) -> dict[str, float]:
    assert answer.probabilities is not None
    return answer.probabilities


@BACKENDS
async def test_every_option_has_its_probability_and_nothing_is_written(
    take_box: TakeBox, backend: str
) -> None:
    client = (await take_box(model__backend=backend, model__path=TINY)).client
    done = await decide(client, QUESTIONS)
    answers = answers_of(done)
    assert list(answers) == list(QUESTIONS)
    assert [list(told(answer)) for answer in answers.values()] == [
        ROOMS,
        ["yes", "no"],
        ["0", "5", "10"],
        ["厨房", "卧室"],
    ]
    for answer in answers.values():
        shares = told(answer)
        assert abs(sum(shares.values()) - 1) <= 1e-6
        assert shares[answer.choice] == max(shares.values())
        assert 0 <= answer.margin <= 1
    assert 0 <= (answers["risk"].score or 0) <= 10
    assert (done.text, done.usage.completion_tokens, done.timings.decode_ms) == ("", 0, 0)
    assert done.usage.prompt_tokens > 0


@BACKENDS
async def test_the_order_of_the_options_and_company_change_no_answer(take_box: TakeBox, backend: str) -> None:
    client = (await take_box(model__backend=backend, model__path=TINY)).client
    together = answers_of(await decide(client, QUESTIONS))["room"]
    turned = {**QUESTIONS["room"], "criteria": ROOMS[::-1]}
    alone = answers_of(await decide(client, {"room": turned}))["room"]
    assert list(told(alone)) == ROOMS[::-1]
    assert alone.choice == together.choice
    assert told(alone) == pytest.approx(told(together), abs=0.02)


@BACKENDS
async def test_a_state_beyond_the_context_is_refused_with_both_numbers(
    take_box: TakeBox, backend: str
) -> None:
    client = (await take_box(model__backend=backend, model__path=TINY)).client
    (error,) = [event async for event in client.decide(state="window open " * 2000, questions=QUESTIONS)]
    assert (error.type, error.code) == ("error", "context_overflow")  # type: ignore[union-attr]


async def test_what_is_configured_for_decisions_changes_while_it_runs(
    ready: StartReady, tmp_path: Path, broker: Any
) -> None:
    path = tmp_path / "edgeassist.toml"
    path.write_text("")
    _, client = await ready(config=path)
    state = {"state": "kitchen kitchen"}
    sure = answers_of(await decide(client, {"room": QUESTIONS["room"]}, **state))["room"]
    info = json.loads(await client.state(client.topics.info) or b"{}")
    assert info["model"]["calibration"]["choice"] == 1.0
    path.write_text("[decisions]\ntemperature = 20\nthreshold = 0.9\n")
    response = await client.command("reload")
    assert (response.data or {})["applied"] == ["decisions.temperature", "decisions.threshold"]
    unsure = answers_of(await decide(client, {"room": QUESTIONS["room"]}, **state))["room"]
    assert (sure.choice, sure.abstain) == ("kitchen", False)
    assert (unsure.choice, unsure.abstain) == ("kitchen", True)
    assert unsure.margin < sure.margin
    answer = await client.command("info")
    model = (answer.data or {})["model"]
    assert isinstance(model, dict)
    assert model["calibration"] == {"choice": 20, "score": 20, "yes_no": 20, "threshold": 0.9, "prior": 1}
