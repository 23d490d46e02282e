from __future__ import annotations

import json
import re
from typing import Any, cast

import pytest

from edgeassist.gateways.homeassistant.entities import device_message
from edgeassist.gateways.homeassistant.watched import watch_components
from edgeassist.protocol.decisions import Kind, Question
from edgeassist.protocol.topics import Topics
from edgeassist.protocol.watches import WatchAnswer, WatchState
from edgeassist.watching.gone import Gone
from tests.unit.test_homeassistant import ATTRIBUTES, BOX, COMMON, KNOWN, REQUIRED, health, render

QUESTIONS = {
    "done": Question(type=Kind.YES_NO, instructions="Done?"),
    "room": Question(
        type=Kind.CHOICE, instructions="Which?", criteria={"kitchen": None, "living room": None}
    ),
    "load": Question(type=Kind.SCORE, instructions="How?", minimum=0, maximum=10),
}
KEYS = {"done": "watch:my_home:done:yes_no", "room": "watch:my_home:room", "load": "watch:my_home:load"}
KNOWN_STATE = WatchState(
    answers={
        "done": WatchAnswer(type="yes_no", choice="yes", probabilities={"yes": 0.9, "no": 0.1}, noul=0.9),
        "room": WatchAnswer(type="choice", choice="living room", probabilities={"kitchen": 0.2}),
        "load": WatchAnswer(type="score", choice="7", score=6.6, probabilities={"7": 0.6}),
    },
    reason=None,
    state_at="2026-11-28T17:23:20Z",
    answered_at="2026-11-28T17:23:21Z",
)
UNKNOWN_STATE = WatchState(
    answers={
        "done": WatchAnswer(type="yes_no"),
        "room": WatchAnswer(type="choice"),
        "load": WatchAnswer(type="score"),
    },
    reason="no message has come yet",
    state_at=None,
    answered_at=None,
)


def components(
    topics: Topics = BOX, *, questions: dict[str, Question] = QUESTIONS, gone: list[Gone] | None = None
) -> dict[str, dict[str, Any]]:
    more = watch_components(topics, {"my_home": questions} if questions else {}, gone or [])
    found = cast("dict[str, dict[str, Any]]", device_message(topics, health(), more)["cmps"])
    return {key: each for key, each in found.items() if key.startswith("watch:")}


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_entity_has_what_home_assistant_asks_for_and_nothing_that_it_refuses(question: str) -> None:
    component = components()[KEYS[question]]
    platform = component["p"]
    assert REQUIRED[platform] | {"p", "uniq_id", "name"} <= set(component) <= COMMON | KNOWN[platform]
    assert set(component) >= ATTRIBUTES
    assert component["stat_t"] == component["json_attr_t"] == "edgeassist/kitchen-pi/watch/my_home"
    assert component["avty_t"] == "edgeassist/kitchen-pi/status"
    assert ("ops" in component) == (component.get("dev_cla") == "enum")
    assert component["def_ent_id"] == f"{platform}.edgeassist_kitchen_pi_my_home_{question}"
    assert component["name"] == f"my home {question}"


@pytest.mark.parametrize(
    ("question", "platform", "known", "unknown"),
    [
        ("done", "binary_sensor", "yes", "None"),
        ("room", "sensor", "living room", "None"),
        ("load", "sensor", "6.6", "None"),
    ],
)
def test_its_state_is_what_is_known_and_unknown_where_nothing_is(
    question: str, platform: str, known: str, unknown: str
) -> None:
    component = components()[KEYS[question]]
    assert component["p"] == platform
    for document, state in ((KNOWN_STATE, known), (UNKNOWN_STATE, unknown)):
        for payload in document.payloads():
            assert render(component["val_tpl"], payload.decode()) == state
    assert component.get("ops", [known]) in (["kitchen", "living room"], [known])
    assert component.get("pl_on", "yes") == "yes"


def test_a_message_that_is_cleared_makes_it_unknown_without_an_error() -> None:
    for key in KEYS.values():
        component = components()[key]
        assert (render(component["val_tpl"], ""), render(component["json_attr_tpl"], "")) == ("None", "{}")


def test_its_attributes_are_the_probabilities_and_why_something_is_unknown() -> None:
    template = components()[KEYS["done"]]["json_attr_tpl"]
    known = json.loads(render(template, KNOWN_STATE.payloads()[0].decode()))
    assert known["probabilities"] == {"yes": 0.9, "no": 0.1}
    assert (known["choice"], known["reason"], known["state_at"]) == ("yes", None, "2026-11-28T17:23:20Z")
    unknown = json.loads(render(template, UNKNOWN_STATE.payloads()[0].decode()))
    assert (unknown["probabilities"], unknown["reason"]) == (None, "no message has come yet")


def test_what_is_no_more_is_removed_also_where_it_was_of_another_kind() -> None:
    gone = [
        Gone("my_home", "done", Kind.CHOICE),
        Gone("old", "wet", Kind.YES_NO),
        Gone("old", "load", Kind.SCORE),
    ]
    found = components(gone=gone)
    assert {key: each for key, each in found.items() if len(each) == 1} == {
        "watch:my_home:done": {"p": "sensor"},
        "watch:old:wet:yes_no": {"p": "binary_sensor"},
        "watch:old:load": {"p": "sensor"},
    }
    assert set(KEYS.values()) <= set(found)


def test_no_two_questions_have_one_identity_and_ids_are_such_as_home_assistant_takes() -> None:
    watches = dict.fromkeys(("a", "a_b", "A", "-", "a-b"), QUESTIONS)
    questions = {"b_c": QUESTIONS["done"], "c": QUESTIONS["done"], "c_yes_no": QUESTIONS["room"]}
    more = watch_components(Topics("房子", "盒子"), {**watches, "x": questions})
    message = device_message(Topics("房子", "盒子"), health(), more)
    found = [
        each for each in cast("dict[str, dict[str, Any]]", message["cmps"]).values() if "uniq_id" in each
    ]
    identities = [each["uniq_id"] for each in found]
    assert len(set(identities)) == len(identities)
    for each in found:
        # homeassistant/core.py
        assert re.fullmatch(r"(?!.+__)(?!_)[\da-z_]+(?<!_)\.(?!_)[\da-z_]+(?<!_)", each["def_ent_id"])


def test_without_watches_the_device_has_its_own_entities_only() -> None:
    assert components(questions={}) == {}
    assert device_message(BOX, health(), {}) == device_message(BOX, health())
