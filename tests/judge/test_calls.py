"""Tools as hypothesis draws them: whatever is accepted, no call is ever invalid, in any form."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeassist.engine.messages import Choice, Tool, Tools
from edgeassist.engine.prompting.calls import finding
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.errors import InvalidRequestError
from tests.judge import strategies
from tests.judge.test_schemas import validator
from tests.unit.calls import called, compiler, parse, told, walk

EXAMPLES = 60
WALKS = 2
FORMS = [finding.OURS, finding.QWEN_3_CODER, finding.GEMMA_4, finding.LFM_2]


@st.composite
def _parameters(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the schema of an object with some parameters."""
    schema = draw(strategies.schemas())
    definitions = schema.pop("$defs")
    parts = {"a": schema, "b": definitions["x"], "c_d": definitions["x/y"]}
    names = draw(st.lists(st.sampled_from(list(parts)), unique=True))
    return {
        "type": "object",
        "properties": {name: parts[name] for name in names},
        "required": draw(st.lists(st.sampled_from(names), unique=True)) if names else [],
        "$defs": definitions,
    }


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("control", [True, False], ids=["control tokens", "text"])
def test_no_call_of_a_drawn_tool_is_invalid(form: Form, control: bool) -> None:  # noqa: FBT001 - a parameter
    seen = Counter[str]()
    made = compiler(form, control=control)

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(_parameters())
    def holds(parameters: dict[str, Any]) -> None:
        text = json.dumps(parameters)
        tools = Tools((Tool("do_it", "", text),), Choice.REQUIRED, parallel=False)
        random = Random(text)  # noqa: S311 - tests repeat
        judge = validator(parameters)
        for _ in range(WALKS):
            try:
                bound = made.calls(tools, form)
            except InvalidRequestError:
                seen["refused"] += 1
                return
            answer = walk(bound, random)
            if answer is None:
                seen["without end"] += 1
                continue
            parts = parse(form, [answer], tools)
            assert told(parts) == ""
            (call,) = called(parts)
            assert judge.is_valid(json.loads(call.arguments)), (answer, call)
            seen["valid"] += 1

    holds()
    assert seen["valid"] >= EXAMPLES // 3
