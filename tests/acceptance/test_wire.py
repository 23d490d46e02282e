"""The golden fixtures of tests/wire: the daemon gives the same bytes, and they hold the whole contract."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from edgeassist.errors import Code
from edgeassist.protocol import events, state
from edgeassist.protocol.asking import Priority, ReplyFormat
from edgeassist.protocol.requests import PromptRequest
from tests.wire.fixtures import FOLDER, Fixture, JsonObject, Received, Sent, load, paths
from tests.wire.masks import mask
from tests.wire.stage import ROOT
from tests.wire.stages import Stages, in_groups

CONTRACT = Path(__file__).parents[2] / "docs" / "protocol.md"
FIXTURES: Mapping[str, Fixture] = {path.stem: load(path) for path in paths()}
GROUPS = in_groups(paths())
CASES = [(key, path) for key, group in GROUPS.items() for path in group]

# The scripted model can always be loaded and does all that is asked; the last is a client's own word.
NOT_PROVOKED = {Code.MODEL_UNAVAILABLE, Code.UNSUPPORTED, Code.UNREACHABLE}
NOT_FILLED = {
    (events.Done, "held_back"),  # needs a hot or busy machine
    (events.Failed, "repeat"),  # needs a broken connection: unit/test_unheard
    (events.Accepted, "model_ready_in_s"),  # needs a model that sleeps: integration/test_switching
}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """A broker and a daemon for each group of fixtures."""
    with Stages(GROUPS, lambda: tmp_path_factory.mktemp("stage")) as lent:
        yield lent


@pytest.mark.parametrize(("key", "path"), CASES, ids=[path.stem for _, path in CASES])
def test_a_recorded_session_is_answered_with_the_same_bytes(key: str, path: Path, stages: Stages) -> None:
    fixture = FIXTURES[path.stem]
    with stages.of(key) as stage:
        played = stage.play(fixture).text()
        recorded = path.read_text()
        if played != recorded:
            lines = difflib.unified_diff(
                recorded.splitlines(), played.splitlines(), path.name, "now", lineterm="", n=6
            )
            pytest.fail("\n".join(lines), pytrace=False)


def test_every_field_of_a_request_is_in_one_that_is_answered() -> None:
    answered = {field for request, end in asked() if end["type"] == "done" for field in request}
    assert answered == set(PromptRequest.model_fields)


def test_every_field_of_a_request_is_refused_somewhere_and_named() -> None:
    refusals = "; ".join(str(end["message"]) for _, end in asked() if end.get("code") == Code.INVALID_REQUEST)
    named = set(re.findall(r"(?:^|; )(\w+)(?:\.\w+)*: ", refusals))
    assert set(PromptRequest.model_fields) - named == set()


@pytest.mark.parametrize("limited", ["session", "messages", "resume", "system"])
def test_what_fields_exclude_each_other_is_refused_too(limited: str) -> None:
    assert any(
        limited in request and limited in str(end["message"]) and ": Input" not in str(end["message"])
        for request, end in asked()
        if end.get("code") == Code.INVALID_REQUEST
    )


def test_every_priority_and_format_is_asked_for() -> None:
    requests = [request for request, _ in asked()]
    assert {request.get("priority") for request in requests} >= set(Priority)
    assert {request.get("format") for request in requests} >= set(ReplyFormat)
    assert {request.get("stream") for request in requests} >= {True, False}


@pytest.mark.parametrize("kind", get_args(events.AnyEvent))
def test_every_field_of_an_event_is_in_a_fixture_and_no_other(kind: type[BaseModel]) -> None:
    name = kind.model_fields["type"].default
    found = {field for event in objects() if event.get("type") == name for field in event}
    missing = {field for model, field in NOT_FILLED if model is kind}
    assert found == set(kind.model_fields) - missing


@pytest.mark.parametrize(("field", "kind"), [("usage", events.Usage), ("timings", events.Timings)])
def test_every_figure_of_an_answer_is_in_a_fixture(field: str, kind: type[BaseModel]) -> None:
    figures = [event[field] for event in objects() if event.get("type") == "done" and field in event]
    assert {key for each in figures if isinstance(each, dict) for key in each} == set(kind.model_fields)


def test_every_finish_reason_is_in_a_fixture() -> None:
    found = {event["finish_reason"] for event in objects() if event.get("type") == "done"}
    assert found == {*get_args(events.Done.model_fields["finish_reason"].annotation)}


def test_every_code_is_provoked_but_those_that_cannot_be() -> None:
    found = {event["code"] for event in objects() if event.get("type") == "error"}
    assert found == set(Code) - NOT_PROVOKED


def test_every_command_is_carried_out_and_refused() -> None:
    refusal = next(
        str(each["error"]) for each in objects() if "there is no command" in str(each.get("error"))
    )
    commands = re.search(r"there is ([a-z_]+(?:, [a-z_]+)+)", refusal)
    assert commands is not None
    for name in commands[1].split(", "):
        answers = [each for each in received() if each.topic == f"{ROOT}/response/{name}"]
        ends = {each.payload["status"] for each in answers if isinstance(each.payload, dict)}
        # What a box finds on itself is its own: no session has it.
        assert ends == ({"error"} if name == "doctor" else {"ok", "error"}), name


def test_every_field_of_a_commands_answer_is_in_a_fixture() -> None:
    answers = [each for each in objects() if each.get("status") in {"ok", "error"}]
    assert {key for each in answers for key in each} == set(state.CommandResponse.model_fields)
    errors = [each["error"] for each in answers if isinstance(each.get("error"), dict)]
    assert all(
        list(each) == list(state.CommandError.model_fields) for each in errors if isinstance(each, dict)
    )


@pytest.mark.parametrize(
    ("topic", "kind"), [("health", state.Health), ("telemetry", state.Telemetry), ("info", state.Info)]
)
def test_every_state_document_is_in_a_fixture_with_all_its_fields(topic: str, kind: type[BaseModel]) -> None:
    found = [each for each in received() if each.topic == f"{ROOT}/{topic}"]
    assert found
    for each in found:
        assert isinstance(each.payload, dict)
        assert list(each.payload) == list(kind.model_fields)
        assert (each.qos, each.retain) == (1, True)


def test_the_model_is_in_a_fixture_with_all_its_fields() -> None:
    models = [each["model"] for each in objects() if isinstance(each.get("model"), dict)]
    assert models
    assert all(list(each) == list(state.ModelInfo.model_fields) for each in models if isinstance(each, dict))


def test_both_availabilities_and_what_home_assistant_is_told_are_in_a_fixture() -> None:
    messages = {(each.topic, str(each.payload)) for each in received()}
    config = "homeassistant/device/edgeassist__box/config"
    assert {(f"{ROOT}/status", "online"), (f"{ROOT}/status", "offline")} <= messages
    assert {(f"{ROOT}/discovery", config), (f"{ROOT}/discovery", ""), (config, "")} <= messages
    assert any(each.topic == config and isinstance(each.payload, dict) for each in received())
    kinds = {each.payload["event_type"] for each in received() if isinstance(each.payload, dict)
             and each.topic == f"{ROOT}/event/homeassistant"}  # fmt: skip
    assert kinds == {"answered", "failed"}


def test_there_are_sessions_of_both_versions_of_mqtt() -> None:
    spoken = {(each.client, each.daemon.get("mqtt.protocol", "5")) for each in FIXTURES.values()}
    assert spoken == {("5", "5"), ("3.1.1", "3.1.1")}


def test_what_the_contract_quotes_is_in_the_fixture_that_it_names() -> None:
    quotes = re.findall(r"^```json (\S+)\n(.*?)^```", CONTRACT.read_text(), re.DOTALL | re.MULTILINE)
    assert len(quotes) >= 4
    for name, quote in quotes:
        assert unindented(quote) in unindented((FOLDER / name).read_text()), name


def test_a_mask_takes_the_place_only_of_a_value_of_its_kind() -> None:
    right: JsonObject = {"ttft_ms": 1.5, "throttled": None, "version": "1", "id": "0123456789abcdef"}
    wrong: JsonObject = {"ttft_ms": "1.5", "throttled": 1, "version": 1, "id": "0123", "uptime_s": None}
    assert mask(right) == {
        "ttft_ms": "<ms>", "throttled": "<flag or null>", "version": "<version>", "id": "<made-up id>"
    }  # fmt: skip
    assert mask(wrong) == wrong


def test_a_mask_keeps_the_percentiles_of_nothing() -> None:
    assert mask({"ttft_ms": {"p50": None, "p95": 2}}) == {"ttft_ms": {"p50": None, "p95": "<ms>"}}


def received() -> list[Received]:
    """Return all messages of the daemon, states included."""
    steps = [step for fixture in FIXTURES.values() for step in fixture.steps]
    documents = [step.document for step in steps if step.document is not None]
    return [message for step in steps for message in step.receive] + documents


def objects() -> list[JsonObject]:
    """Return the JSON objects that the daemon published."""
    return [each.payload for each in received() if isinstance(each.payload, dict)]


def asked() -> Iterator[tuple[JsonObject, JsonObject]]:
    """Yield each request in JSON with the terminal event of the step that asks it."""
    for fixture in FIXTURES.values():
        for step in fixture.steps:
            ends = [each.payload for each in step.receive if isinstance(each.payload, dict)]
            ends = [each for each in ends if each.get("type") in {"done", "error"}]
            for request in (each.payload for each in step.publish if _asks(each)):
                if isinstance(request, dict) and len(step.publish) == len(ends) == 1:
                    yield request, ends[0]


def _asks(message: Sent) -> bool:
    return message.topic.startswith(f"{ROOT}/prompt")


def unindented(text: str) -> str:
    """Return the lines of a text without what they begin with."""
    return "\n".join(line.strip() for line in text.strip().splitlines())
