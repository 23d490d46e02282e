"""Tool calls of real engines, whose random weights would say anything."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Choice,
    Delta,
    DeltaKind,
    Encoding,
    Finish,
    Sampling,
    Tool,
    ToolCall,
    Tools,
)
from tests.integration.driver import GREEDY, Answer, Engine, start

PARAMETERS: dict[str, dict[str, Any]] = {
    "set_light": {
        "type": "object",
        "properties": {
            "room": {"enum": ["kitchen", "living room", "厨房"]},
            "level": {"type": "integer", "minimum": 0, "maximum": 100},
            "why": {"type": "string", "maxLength": 12},
        },
        "required": ["room", "level"],
    },
    "get_time": {"type": "object", "properties": {}},
}
ALL = tuple(Tool(name, f"Calls {name}.", json.dumps(schema)) for name, schema in PARAMETERS.items())
REQUIRED = Tools(ALL, Choice.REQUIRED)
# An answer goes on for as long as its bounds let it.
ENDLESS = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, ignore_eos=True)
WARM = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0)
# One of the trial model's words becomes the mark before a call, and another makes room for it.
CHANGED = {"Ġmoon": "<tool_call>", "Ġanswer": "~~~"}


@pytest.fixture(scope="module", params=["llama", "onnx"])
def calling(request: pytest.FixtureRequest, trial_model: Path, trial_onnx: Path) -> Iterator[Engine]:
    """An engine of each kind."""
    with Engine() as running:
        running.load(request.param, {"llama": trial_model, "onnx": trial_onnx}[request.param])
        yield running


def deltas(engine: Engine, request: str, kind: DeltaKind) -> list[str]:
    return [event.text for event in engine.about(request) if isinstance(event, Delta) and event.kind is kind]


def calls(engine: Engine, request: str) -> list[ToolCall]:
    found = deltas(engine, request, DeltaKind.TOOL_CALL)
    return [msgspec.json.decode(text, type=ToolCall) for text in found]


def valid(call: ToolCall) -> bool:
    return bool(Draft202012Validator(PARAMETERS[call.name]).is_valid(json.loads(call.arguments)))


def ask(engine: Engine, count: int, **fields: Any) -> list[tuple[str, Answer]]:
    """Ask that often, one after the other."""
    asked = []
    for number in range(count):
        request = f"{fields.get('request', 'call')}-{len(engine.events)}-{number}"
        engine.send(
            start(f"Tell me about number {number}", **{"max_tokens": 300, **fields, "request": request})
        )
        asked.append((request, engine.wait(request)))
    return asked


@pytest.mark.parametrize(
    "sampling", [GREEDY, WARM, Sampling(repeat_penalty=1.3)], ids=["cold", "warm", "penalty"]
)
def test_a_required_call_is_always_a_valid_one(calling: Engine, sampling: Sampling) -> None:
    tools = msgspec.structs.replace(REQUIRED, parallel=False)
    for request, answer in ask(calling, 8, tools=tools, sampling=sampling):
        assert answer.finished.reason is Finish.TOOL_CALLS
        (call,) = calls(calling, request)
        assert valid(call), call
        assert deltas(calling, request, DeltaKind.TEXT) == []


def test_several_calls_are_deltas_of_their_own(calling: Engine) -> None:
    found = [calls(calling, request) for request, _ in ask(calling, 6, tools=REQUIRED, sampling=ENDLESS)]
    assert all(valid(call) for several in found for call in several)
    assert all(found)
    assert max(map(len, found)) > 1


def test_the_tool_that_is_asked_for_is_called(calling: Engine) -> None:
    tools = Tools(ALL, Choice.REQUIRED, only="get_time", parallel=False)
    ((request, answer),) = ask(calling, 1, tools=tools)
    assert calls(calling, request) == [ToolCall("get_time", "{}")]
    assert answer.finished.reason is Finish.TOOL_CALLS
    # All of it is forced, and read with the prompt.
    assert answer.finished.completion_tokens > 5


@pytest.mark.parametrize("choice", [Choice.AUTO, Choice.NONE])
def test_an_answer_without_a_call_is_text(calling: Engine, choice: Choice) -> None:
    told = calling.answer("Tell me", max_tokens=60, tools=Tools(ALL, choice))
    assert told.text
    assert told.finished.reason is not Finish.TOOL_CALLS


def test_a_call_that_is_cut_off_is_no_call_and_no_text(calling: Engine) -> None:
    tools = msgspec.structs.replace(REQUIRED, parallel=False)
    seeded = msgspec.structs.replace(GREEDY, seed=1)
    ((_, whole),) = ask(calling, 1, tools=tools, sampling=seeded)
    length = whole.finished.completion_tokens
    for limit in (1, 2, length // 2, length - 1):
        ((request, cut),) = ask(calling, 1, tools=tools, sampling=seeded, max_tokens=limit)
        assert cut.pieces == ()
        assert cut.finished.reason is Finish.LENGTH
        assert cut.finished.completion_tokens == limit
    ((request, same),) = ask(calling, 1, tools=tools, sampling=seeded, max_tokens=length)
    assert same.finished.reason is Finish.TOOL_CALLS
    assert len(calls(calling, request)) == 1


def test_stop_texts_do_not_end_a_call(calling: Engine) -> None:
    tools = msgspec.structs.replace(REQUIRED, parallel=False)
    for _, answer in ask(calling, 2, tools=tools, stop=("name", "{", "_")):
        assert answer.finished.reason is Finish.TOOL_CALLS


def test_a_tool_that_is_not_enforced_is_refused_and_nobody_else_hears_of_it(calling: Engine) -> None:
    tools = Tools((*ALL, Tool("x", "", '{"properties":{"a":{"uniqueItems":true}}}')))
    failed = calling.answer("Tell me", tools=tools).failed
    assert failed.code == "invalid_request"
    assert failed.message == (
        "tools.2.function.parameters: #/properties/a: the keyword 'uniqueItems' is not enforced here"
    )
    assert calling.answer("And now?", tools=REQUIRED, max_tokens=300).pieces


def test_tools_are_compiled_beside_the_steps(calling: Engine) -> None:
    ((request, _),) = ask(calling, 1, tools=REQUIRED)
    told = [event.done for event in calling.about(request) if isinstance(event, Encoding)]
    assert told == [False, True]


def test_an_answer_that_may_call_is_cancelled_and_its_slot_is_free(calling: Engine) -> None:
    endless = Tool("x", "", '{"properties":{"a":{"type":"string","minLength":5000}},"required":["a"]}')
    request = start("Go on", request="endless", tools=Tools((endless,), Choice.REQUIRED), max_tokens=900)
    calling.send(request, start("And", request="other", tools=REQUIRED, max_tokens=20))
    calling.until(lambda event: getattr(event, "id", None) == "endless" and not isinstance(event, Encoding))
    calling.send(Cancel("endless"))
    assert isinstance(calling.wait("endless").ending, Cancelled)
    calling.wait("other")
    ((request_id, _),) = ask(calling, 1, tools=REQUIRED)
    assert calls(calling, request_id)


# --- with llama.cpp -----------------------------------------------------------------------------------------


def test_a_call_that_a_free_answer_begins_is_valid(trial_model: Path, tmp_path: Path, fresh: Engine) -> None:
    data = trial_model.read_bytes()
    for before, after in CHANGED.items():
        old, new = (struct.pack("<Q", len(text.encode())) + text.encode() for text in (before, after))
        assert data.count(old) == 1
        data = data.replace(old, new)
    (tmp_path / "caller.gguf").write_bytes(data)
    fresh.load("llama", tmp_path / "caller.gguf")
    begun = 0
    for request, answer in ask(fresh, 24, tools=Tools(ALL), sampling=WARM):
        found = calls(fresh, request)
        assert all(map(valid, found))
        assert bool(found) or answer.finished.reason is not Finish.TOOL_CALLS
        assert not found or answer.finished.reason is not Finish.STOP
        assert "<tool_call>" not in "".join(deltas(fresh, request, DeltaKind.TEXT))
        begun += bool(found)
    assert begun


def test_calls_are_the_same_with_drafts_and_without(trial_model: Path, fresh: Engine, llama: Engine) -> None:
    fresh.load("llama", trial_model, speculate=False)
    for seed in (None, 3):
        sampling = msgspec.structs.replace(GREEDY, seed=seed)
        with_drafts, without = (
            ask(engine, 3, tools=REQUIRED, sampling=sampling) for engine in (llama, fresh)
        )
        assert [answer.pieces for _, answer in with_drafts] == [answer.pieces for _, answer in without]


def test_calls_that_have_no_room_together_are_those_that_they_would_be_alone(
    trial_model: Path, fresh: Engine
) -> None:
    fresh.load("llama", trial_model, context=400, kv_tokens=420, slots=3)
    prompts = [f"Number {number} and all that was said of it before. " * 6 for number in range(3)]
    alone = [fresh.answer(prompt, tools=REQUIRED, max_tokens=90).pieces for prompt in prompts]
    together = fresh.ask(*prompts, tools=REQUIRED, max_tokens=90)
    assert [answer.pieces for answer in together] == alone
