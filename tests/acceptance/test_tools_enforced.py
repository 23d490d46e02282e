"""Tools with models of random weights, in both formats: whatever they want, a call fits its tool."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from edgeassist.client import Called
from tests.conftest import TakeBox, expect_done

SCHEMA = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}, "room": {"enum": ["kitchen", "hall"]}},
    "required": ["on", "room"],
    "additionalProperties": False,
}
NOTHING = {"type": "object", "maxProperties": 0}
TOOLS = [
    {"type": "function", "function": {"name": "set_relay", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "nothing"}},
]
NAMED = {"type": "function", "function": {"name": "set_relay"}}


@pytest.mark.parametrize("model", ["trial_model", "trial_onnx"])
@pytest.mark.parametrize("choice", ["auto", "none", "required", NAMED], ids=str)
async def test_every_call_of_a_random_model_fits_its_tool(
    request: pytest.FixtureRequest, take_box: TakeBox, model: str, choice: Any
) -> None:
    box = await take_box(model__path=request.getfixturevalue(model))
    fields = {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False, "max_tokens": 120}
    for temperature in (0, 1, 1.5, 2):
        events = [event async for event in box.client.ask("Light", temperature=temperature, **fields)]
        done = expect_done(events[-1])
        calls = [event for event in events if isinstance(event, Called)]
        assert [call.tool_call_id for call in calls] == [call.id for call in done.tool_calls]
        for call in calls:
            assert call.name in {"set_relay", "nothing"}
            jsonschema.validate(json.loads(call.arguments), SCHEMA if call.name == "set_relay" else NOTHING)
        if choice in ("required", NAMED):
            assert (len(calls), done.text, done.finish_reason) == (1, "", "tool_calls")
        if choice == NAMED:
            assert calls[0].name == "set_relay"
        if choice == "none":
            assert calls == []
