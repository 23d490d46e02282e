"""docs/asyncapi.yaml says what the code does: every recorded message is one of its messages."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from pydantic import JsonValue

from edgeassist.errors import EdgeAssistError
from edgeassist.protocol.commands import COMMANDS, parse_arguments
from edgeassist.protocol.decisions import parse_decision
from edgeassist.protocol.events import parse_event
from edgeassist.protocol.fitting import forms
from edgeassist.protocol.requests import parse_prompt
from edgeassist.protocol.state import Health, Info, StateDocument, Telemetry
from edgeassist.protocol.topics import FleetTopics, Topics
from scripts.contract.examples import messages, real
from scripts.contract.files import FILES
from scripts.contract.judge import Judge, channel_of
from scripts.contract.topics import DEVICE, FLEET, channels
from tests.fuzz.mutation import mutate
from tests.fuzz.targets.mqtt import sent
from tests.wire.fixtures import Fixture, Received, load, paths

DOCUMENT: dict[str, Any] = yaml.load(
    (Path(__file__).parents[2] / "docs/asyncapi.yaml").read_text(), Loader=yaml.CSafeLoader
)
CHANNELS, OPERATIONS, COMPONENTS = (DOCUMENT[name] for name in ("channels", "operations", "components"))
SENDS = {each["channel"]["$ref"].rpartition("/")[2]: each for each in OPERATIONS.values()}
# Where a request named the topic of its answer.
ELSEWHERE = ["replyElsewhere", "responseElsewhere"]
SHORT = {"acceptedShort", "doneShort", "errorShort"}
# Of others, or nobody's.
STRANGE = re.compile(r"door|zigbee2mqtt/.*|homeassistant/status|.*/command/reboot|.*/prompt/")
# What the device refuses and no schema can: what fields say together, and how long something is as a whole.
# By the words of the refusal.
BEYOND_SCHEMAS = re.compile(
    "|".join(
        [
            "messages hold nothing to answer",
            "give the system prompt either",
            "is no call of|has its result already|result is missing|a session keeps",
            "means no thoughts|less than max_tokens",
            "resume needs a session",
            "one of them can bind|says where the answer ends",
            "there are no tools|is none of the tools|either may bind|calls end an answer|calls need events",
            "has the name .* twice|an id comes twice|has two results",
            "only an assistant's message|only a message of the role tool|missing: it",
            "is limited to .* bytes|has [0-9]+ bytes",
            "nested more than|a number that JSON has not|as JSON text|must be the schema itself",
            "the schema of an object",
            "criteria|minimum|maximum must be|a score needs|format: text has room|takes 2 to|steps",
            "there is no question|is none of its options|printable",
            "answers may not go|can't be a topic|use a shorter id",  # what the settings allow
            "need .model.|takes none",
        ]
    )
)


@cache
def judge() -> Judge:
    return Judge(DOCUMENT, closed=True)


def of_fixture(path: Path) -> Iterator[Received]:
    for step in load(path).steps:
        yield from step.receive
        if step.document is not None:
            yield step.document


def fitting(topic: str, payload: JsonValue) -> tuple[str, list[str]]:
    """Return the channel of what was received, and which of its messages it may be."""
    channel = channel_of(topic)
    found = [channel.name] if channel is not None else ELSEWHERE
    for name in found:
        if names := judge().fitting(name, payload):
            return name, names
    return found[0], []


def fits(topic: str, payload: JsonValue) -> bool:
    channel = channel_of(topic)
    return channel is not None and bool(judge().fitting(channel.name, payload))


def message_of(received: Received) -> tuple[str, list[str]]:
    topic = received.topic.replace("<made-up id>", "1")
    return fitting(topic, real(topic, received.payload))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_generated_file_is_what_the_code_says(path: Path) -> None:
    assert path.read_text() == FILES[path](), "python -m scripts.contract writes it anew"


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_every_recorded_message_of_the_device_is_in_the_document(path: Path) -> None:
    strange = [(each.topic, each.payload) for each in of_fixture(path) if not message_of(each)[1]]
    assert strange == []


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_every_recorded_message_has_the_qos_and_retain_of_its_operation(path: Path) -> None:
    otherwise = "_qos" in path.read_text()  # set so, for answers
    for each in of_fixture(path):
        name, _ = message_of(each)
        binding = SENDS[name]["bindings"]["mqtt"]
        if not (otherwise and name.startswith("reply")):
            assert each.qos == binding["qos"], each
        # A client of 3.1.1 does not see the flag.
        assert each.retain == binding["retain"] or load(path).client == "3.1.1", each


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_an_answer_is_short_only_where_it_was_asked_to_be(path: Path) -> None:
    """A whole event that lacks a field is a short one by its schema, and must not pass as that."""
    asked = small_requests(load(path))
    short = [each for each in of_fixture(path) if SHORT & set(message_of(each)[1][:1])]
    assert [each for each in short if not asked] == []


def small_requests(fixture: Fixture) -> list[str]:
    sent = [each for step in fixture.steps for each in step.publish]
    return [text for each in sent if "max_packet" in (text := str(each.payload)) or "'end': 'short'" in text]


def test_what_is_published_is_judged_as_the_device_judges_it() -> None:
    seen: Counter[bool] = Counter()
    for fixture, topic, payload, received in messages():
        if received or channel_of(topic) is None:
            assert received or STRANGE.fullmatch(topic), topic
            continue
        problem = refusal(topic, payload)
        if problem is None:
            assert fits(topic, payload), (fixture, topic, payload)
        elif not BEYOND_SCHEMAS.search(problem):
            assert not fits(topic, payload), (fixture, topic, payload, problem)
        seen[problem is None] += 1
    assert seen[True] > 100
    assert seen[False] > 20


def test_whatever_the_device_takes_is_in_the_document() -> None:
    """Requests that nobody thought of: those of the sessions, changed by their structure."""
    random = Random(21)  # noqa: S311 - keeps no secret
    seeds = [(each.topic, each.data()) for each in sent() if channel_of(each.topic)]
    taken = 0
    for _ in range(2000):
        topic, data = random.choice(seeds)
        data = mutate(random, data, random.choice(seeds)[1])
        try:
            text = data.decode("utf-8-sig").strip("\0 \t\r\n")
            payload = json.loads(text) if text.startswith("{") else text
        except (ValueError, RecursionError):
            continue
        if refusal(topic, text) is None:
            assert fits(topic, payload), (topic, text)
            taken += 1
    assert taken > 500


def refusal(topic: str, payload: JsonValue) -> str | None:
    """Return why the device refuses what is published there; None where it does not."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    root = "/fleet/home" if "/fleet/" in topic else "/box"
    kind, _, rest = topic.partition(f"{root}/")[2].partition("/")
    try:
        if kind == "prompt":
            parse_prompt(text.encode(), limit=1 << 18)
        elif kind == "decide":
            parse_decision(text.encode(), limit=1 << 18)
        elif kind == "command":
            parse_arguments(rest.partition("/")[0], text.encode())
    except EdgeAssistError as error:
        return error.message
    return None


def test_every_message_is_in_a_session_or_known_to_be_in_none() -> None:
    seen = set()
    for _, topic, payload, received in messages():
        channel = channel_of(topic)
        names = fitting(topic, payload)[1] if received else channel and judge().fitting(channel.name, payload)
        seen |= set(names or ())
    assert set(COMPONENTS["messages"]) - seen == {
        # A broker that takes little; the next test has them.
        *("healthCut", "telemetryCut", "infoCut"),
        # A model that takes its time, and what boxes tell each other.
        *("modelProgress", "internal"),
        *("modelText", "instance"),
        # What a box finds on itself is its own.
        *("doctorCommand", "doctorOutcome"),
    }


@pytest.mark.parametrize("fixture", ["chunks", "tools", "thoughts", "decisions", "limits", "cancel"])
def test_an_event_is_in_the_document_however_little_of_it_a_small_packet_holds(fixture: str) -> None:
    [path] = [path for path in paths() if path.stem == fixture]
    shown = set()
    for each in of_fixture(path):
        said = each.payload if isinstance(each.payload, dict) else {}
        if said.get("type") in {"accepted", "done", "error"} and "device" in said:  # whole
            event = parse_event(json.dumps(real(each.topic, each.payload)).encode())
            for payload in (*forms(event), *forms(event, short=True)):
                found = judge().fitting("replyElsewhere", json.loads(payload))
                assert found, payload
                shown.add(found[0])
    assert shown & SHORT


@pytest.mark.parametrize(("kind", "name"), [(Health, "health"), (Telemetry, "telemetry"), (Info, "info")])
def test_a_state_that_is_cut_for_a_broker_that_takes_little_is_in_the_document(
    kind: type[StateDocument], name: str
) -> None:
    [path] = [path for path in paths() if path.stem == "states"]
    [said] = [each.payload for each in of_fixture(path) if each.topic.endswith(f"/{name}")][:1]
    whole, *less = kind.model_validate(real(f"edgeassist/box/{name}", said)).payloads()
    assert judge().fitting(name, json.loads(whole)) == [name]
    assert less
    for each in less:
        assert judge().fitting(name, json.loads(each)) == [f"{name}Cut"]


def test_every_topic_that_the_code_builds_is_in_the_document() -> None:
    built = set()
    for topics, kind in ((DEVICE, Topics), (FLEET, FleetTopics)):
        for name in vars(kind):
            if name.startswith(("_", "parse", "check_", "own_")) or name.endswith("filters"):
                continue
            found = getattr(topics, name, None)
            if callable(found) and name in {"prompt", "decide", "cancel"}:
                built |= {found(), found("{client}")}
            elif isinstance(found, str) and name not in {"base", "device", "root", "group", "watch_filter"}:
                built.add(found)
    own = "{device}"
    built |= {DEVICE.command(name) for name in COMMANDS} | {DEVICE.response(name) for name in COMMANDS}
    built |= {DEVICE.reply("{request}"), DEVICE.reply("{request}", "{client}"), DEVICE.watch("{watch}")}
    built |= {make(own) for make in (FLEET.box, FLEET.hand, FLEET.room, FLEET.has, FLEET.check)}
    assert built - {each["address"] for each in CHANNELS.values()} == set()


def test_every_field_and_channel_is_described() -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in COMPONENTS["schemas"].items()
        for field, each in schema.get("properties", {}).items()
        if not each.get("description")
    ]
    assert silent == []
    assert [each.name for each in channels() if not each.about] == []


def test_every_example_is_what_it_is_an_example_of() -> None:
    shown = [
        (name, example["payload"])
        for name, each in COMPONENTS["messages"].items()
        for example in each.get("examples", ())
    ]
    assert len(shown) > 30
    wrong = [(name, problem) for name, payload in shown for problem in judge().problems(name, payload)]
    assert wrong == []


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            for each in value.values():
                yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    for reference in set(references(DOCUMENT)):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]
