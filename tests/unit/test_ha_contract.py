"""The integration can't import the daemon, so what both must know is held equal here."""

from __future__ import annotations

import ast
import json
import re

import pytest

import edgeassist
from custom_components.edgeassist import const, topics
from custom_components.edgeassist.events import Failed
from custom_components.edgeassist.failures import MENDABLE, Why, failure_of
from edgeassist.errors import Code, ContextOverflowError
from edgeassist.gateways.homeassistant.topics import CLIENT, object_id
from edgeassist.models.builtin import TINY, builtin_forms
from edgeassist.protocol.state import PROTOCOL_VERSION
from edgeassist.protocol.topics import PromptTopic, Topics
from tests.component import FOLDER

# What is tested without Home Assistant must not need it.
PURE = sorted(
    path for path in FOLDER.rglob("*.py") if "Imports nothing of Home Assistant" in path.read_text()
)


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.stem)
def test_a_pure_module_imports_the_standard_library_and_other_pure_modules(path: object) -> None:
    pure = {
        ".".join(module.relative_to(folder).with_suffix("").parts)
        for module in PURE
        for folder in module.parents
    }
    pure |= {"const"}
    for node in ast.walk(ast.parse(path.read_text())):  # type: ignore[attr-defined]
        if isinstance(node, ast.ImportFrom) and node.level:
            names = {alias.name for alias in node.names}
            assert {node.module} <= pure or names <= pure, f"{path}: {node.module}"
        elif isinstance(node, ast.ImportFrom | ast.Import):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            assert not [name for name in named if re.match("homeassistant|voluptuous|probatio", name)], path


@pytest.mark.parametrize("root", ["edgeassist/kitchen-pi", "a_b/c/Küche", "edgeassist/x.y"])
def test_topics_are_those_of_the_contract(root: str) -> None:
    base, _, device = root.rpartition("/")
    ours, wire = topics.Topics(base, device, "ha-1"), Topics(base, device)
    assert (ours.status, ours.info, ours.health) == (wire.status, wire.info, wire.health)
    assert ours.ask("prompt") == wire.prompt("ha-1")
    assert wire.parse(ours.ask("prompt")) == PromptTopic("ha-1")
    assert ours.ask("decide") == wire.decide("ha-1")
    assert ours.cancel == wire.cancel("ha-1")
    assert ours.replies == wire.reply("+", "ha-1")
    assert ours.identifier == object_id(wire)
    assert topics.split_info(wire.info) == (base, device)


def test_what_the_manifest_listens_for_is_the_info_of_any_device() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert manifest["mqtt"] == [Topics(const.DEFAULT_BASE, "+").info]
    assert manifest["version"] == edgeassist.__version__
    assert manifest["domain"] == const.DOMAIN


@pytest.mark.parametrize("topic", ["info", "/info", "edgeassist/info", "edgeassist/box/status"])
def test_another_topic_is_no_info_of_a_device(topic: str) -> None:
    assert topics.split_info(topic) is None


@pytest.mark.parametrize(
    ("base", "right"),
    [("edgeassist", True), ("a/b", True), ("", False), ("a//b", False), ("a/+", False), ("$x", False)],
)
def test_a_base_is_levels_without_wildcards(base: str, right: bool) -> None:  # noqa: FBT001
    assert topics.is_base(base) is right


def test_constants_are_the_daemons() -> None:
    assert const.PROTOCOL_VERSION == PROTOCOL_VERSION
    assert const.DEFAULT_BASE == "edgeassist"
    assert CLIENT == "homeassistant"


def test_the_built_in_model_is_known_by_the_name_in_its_file() -> None:
    assert const.TINY.encode() in builtin_forms(TINY)["llama"].read_bytes()


def end(code: str, message: str) -> Failed:
    return Failed("r", 0, code=code, message=message)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_sentence_of_its_own(code: Code) -> None:
    message = ContextOverflowError.of(9, 8).message if code is Code.CONTEXT_OVERFLOW else "m"
    why = failure_of(end(code, message)).why
    assert why is (Why.INTERNAL if code is Code.INTERNAL else why)
    assert (why is Why.INTERNAL) == (code is Code.INTERNAL)


def test_a_code_of_a_newer_box_is_said_as_it_came() -> None:
    failure = failure_of(end("too_hot", "wait"))
    assert failure.why is Why.INTERNAL
    assert failure.placeholders["message"] == "wait"


@pytest.mark.parametrize(("tokens", "needed"), [(9000, "9000"), ("at least 9000", "9000")])
def test_a_context_that_is_too_small_is_said_with_both_numbers(tokens: int | str, needed: str) -> None:
    failure = failure_of(end("context_overflow", ContextOverflowError.of(tokens, 4096).message))
    assert failure.why in MENDABLE
    assert (failure.placeholders["needed"], failure.placeholders["context"]) == (needed, "4096")


def test_every_sentence_is_written() -> None:
    said = json.loads((FOLDER / "strings.json").read_text())["exceptions"]
    assert {why.value for why in Why} <= said.keys()
    for why in Why:
        assert said[why.value]["message"]
