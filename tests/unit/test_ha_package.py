"""What hassfest and HACS find in a custom integration, and what they don't look for in its texts.

hassfest is part of no package, so its rules for custom integrations are put here, as they were in 2026.
"""

from __future__ import annotations

import ast
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest

from custom_components.edgeassist.failures import Why
from scripts import brand_pictures
from tests.component import FOLDER

LANGUAGES = ("en", "de", "zh-Hans")
MANIFEST: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text())
STRINGS: dict[str, Any] = json.loads((FOLDER / "strings.json").read_text())
MODULES = {path: ast.parse(path.read_text()) for path in sorted(FOLDER.rglob("*.py"))}
# Integrations that all may import, because each Home Assistant has them.
ALWAYS_THERE = {"ai_task", "conversation", "homeassistant", "websocket_api", "persistent_notification"}
# What Home Assistant's own flows end with.
OF_HOME_ASSISTANT = {"already_configured", "already_in_progress", "reconfigure_successful"}
URL = re.compile(r"(https?|mqtts?)://|www\.", re.IGNORECASE)


def leaves(document: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, document


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def texts(language: str) -> dict[tuple[str, ...], str]:
    return dict(leaves(json.loads((FOLDER / "translations" / f"{language}.json").read_text())))


# --- Texts ----------------------------------------------------------------------------------


def test_english_is_what_strings_say() -> None:
    assert texts("en") == dict(leaves(STRINGS))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_all_texts_with_the_same_placeholders(language: str) -> None:
    english, found = texts("en"), texts(language)
    assert list(found) == list(english)
    for key, text in found.items():
        assert placeholders(text) == placeholders(english[key]), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_breaks_the_rules_of_home_assistant(language: str) -> None:
    for key, text in texts(language).items():
        assert text
        assert text == text.strip(), key
        assert not re.search(r"<[a-z/]", text), key  # no HTML
        assert not re.search(r"'\{\w+\}'", text), key
        assert not URL.search(text), key
        assert "[%key:" not in text, key  # resolved for core's integrations only
        assert all(name.isidentifier() for name in placeholders(text)), key
        assert all(re.fullmatch(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?", part) for part in key), key


def test_what_is_explained_is_asked_for() -> None:
    for step in [path for path, _ in leaves(STRINGS) if "data_description" in path]:
        at = step.index("data_description")
        form: Any = STRINGS
        for part in step[:at]:
            form = form[part]
        assert step[-1] in form["data"], step


def test_no_text_is_without_use_and_none_lacks() -> None:
    said = {node.value for node in walk(ast.Constant) if isinstance(node.value, str)}
    steps = {name.removeprefix("async_step_") for name in functions() if name.startswith("async_step_")}
    steps |= {
        target.id.removeprefix("async_step_")
        for node in walk(ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    theirs = {
        each.name.removeprefix("CONF_").lower()
        for node in walk(ast.ImportFrom)
        if node.module == "homeassistant.const"
        for each in node.names
    }
    known = said | steps | theirs | OF_HOME_ASSISTANT
    # What stands between the keys that code names.
    frame = {"config", "config_subentries", "selector", "exceptions", "issues", "options"}
    frame |= {"step", "error", "abort", "data", "data_description", "flow_title", "title", "description"}
    frame |= {"entry_type", "initiate_flow", "message", "fix_flow"}
    assert {part for path, _ in leaves(STRINGS) for part in path} - frame <= known
    there = {part for path, _ in leaves(STRINGS) for part in path}
    for call in walk(ast.Call):
        for each in call.keywords:
            if each.arg in {"step_id", "reason", "translation_key"} and isinstance(each.value, ast.Constant):
                assert each.value.value in there, ast.unparse(call)


def test_each_failure_has_its_sentence_and_says_what_that_needs() -> None:
    sentences = {key: text["message"] for key, text in STRINGS["exceptions"].items()}
    assert {why.value for why in Why} <= set(sentences)
    made = [call for call in walk(ast.Call) if isinstance(call.func, ast.Name) and call.func.id == "Failure"]
    assert made
    for call in made:
        why = call.args[0]
        if not (isinstance(why, ast.Attribute) and isinstance(why.value, ast.Name) and why.value.id == "Why"):
            continue
        given = call.args[1] if len(call.args) > 1 else ast.Dict(keys=[], values=[])
        if isinstance(given, ast.Dict):
            names = {key.value for key in given.keys if isinstance(key, ast.Constant)}
            assert placeholders(sentences[Why[why.attr].value]) <= names, ast.unparse(call)


def test_each_issue_has_a_text_and_only_a_fixable_one_a_flow() -> None:
    issues = FOLDER / "issues.py"
    kinds = constants(MODULES[issues], "Kind")
    assert set(kinds.values()) == set(STRINGS["issues"])
    fixable = {
        node.attr
        for assign in ast.walk(MODULES[issues])
        if isinstance(assign, ast.Assign) and ast.unparse(assign.targets[0]) == "_FIXABLE"
        for node in ast.walk(assign.value)
        if isinstance(node, ast.Attribute)
    }
    for name, key in kinds.items():
        assert ("fix_flow" in STRINGS["issues"][key]) == (name in fixable), key
        assert ("description" in STRINGS["issues"][key]) == (name not in fixable), key


# --- Manifest, HACS, pictures -----------------------------------------------------------------


def test_the_manifest_is_one_of_a_custom_integration() -> None:
    keys = list(MANIFEST)
    assert keys == ["domain", "name", *sorted(keys[2:])]
    assert MANIFEST["domain"] == FOLDER.name
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])
    assert MANIFEST["integration_type"] in {"device", "hub", "service"}
    assert MANIFEST["iot_class"] == "local_push"
    assert MANIFEST["config_flow"] is True
    assert MANIFEST["requirements"] == []
    assert isinstance(MANIFEST["codeowners"], list)
    assert not set(MANIFEST["dependencies"]) & set(MANIFEST["after_dependencies"])
    # hassfest and HACS want both of whoever publishes the project: here it has no public address.
    for name in ("documentation", "issue_tracker"):
        assert MANIFEST.get(name, "https://").startswith("https://")
    known = {"domain", "name", "after_dependencies", "codeowners", "config_flow", "dependencies", "mqtt"}
    known |= {"documentation", "integration_type", "iot_class", "issue_tracker", "quality_scale"}
    assert set(keys) <= known | {"requirements", "single_config_entry", "version"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_only_integrations_are_imported_that_are_set_up_before(path: Path) -> None:
    allowed = {*MANIFEST["dependencies"], *MANIFEST["after_dependencies"], *ALWAYS_THERE}
    own = {each.stem for each in FOLDER.glob("*.py")}
    imported = set()
    for node in ast.walk(MODULES[path]):
        if isinstance(node, ast.ImportFrom) and node.module == "homeassistant.components":
            imported |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("homeassistant.components."):
            imported.add((node.module or "").split(".")[2])
        elif isinstance(node, ast.Import):
            imported |= {
                each.name.split(".")[2]
                for each in node.names
                if each.name.startswith("homeassistant.components.")
            }
    # A platform may import what it is a platform of.
    assert imported <= allowed | own


def test_hacs_finds_one_integration_and_knows_what_stands_in_its_file() -> None:
    root = FOLDER.parents[1]
    assert [path.name for path in FOLDER.parent.iterdir() if path.is_dir()] == [FOLDER.name]
    hacs = json.loads((root / "hacs.json").read_text())
    assert set(hacs) <= {"name", "homeassistant", "hacs", "render_readme", "country", "hide_default_branch"}
    assert hacs["name"] == MANIFEST["name"]
    assert re.fullmatch(r"\d{4}\.\d{1,2}\.\d+", hacs["homeassistant"])
    assert (root / "README.md").is_file()


def test_icons_are_of_material_design_and_for_entities_that_there_are() -> None:
    icons = json.loads((FOLDER / "icons.json").read_text())
    assert set(icons) == {"entity"}
    assert {platform for platform in icons["entity"] if not (FOLDER / f"{platform}.py").is_file()} == set()
    assert all(re.fullmatch(r"mdi:[a-z-]+", icon) for _, icon in leaves(icons))


def test_the_quality_scale_has_a_word_on_each_rule() -> None:
    lines = (FOLDER / "quality_scale.yaml").read_text().splitlines()
    found = [
        re.fullmatch(r"  ([a-z-]+): (?:done|\{ status: (?:exempt|todo), comment: .+ \})", x) for x in lines
    ]
    assert {each[1] for each in found if each} == RULES
    assert [x for x, each in zip(lines, found, strict=True) if not each and not x.startswith("  #")] == [
        "rules:"
    ]


@pytest.mark.parametrize("suffix", ["", "@2x"])
@pytest.mark.parametrize("name", brand_pictures.NAMES)
def test_pictures_have_the_sizes_that_home_assistant_wants(name: str, suffix: str) -> None:
    kept = pixels((FOLDER / "brand" / f"{name}{suffix}.png").read_bytes())
    high, wide = kept.shape[:2]
    scale = 2 if suffix else 1
    if name == "icon":
        assert (wide, high) == (256 * scale, 256 * scale)
    else:
        assert wide > high == 128 * scale
    assert kept[0, 0, 3] == 0  # on nothing


def test_pictures_are_what_the_script_draws() -> None:
    kept, drawn = (FOLDER / "brand" / "icon.png").read_bytes(), brand_pictures.picture("icon", 1)
    # Compressed otherwise elsewhere, rounded otherwise perhaps.
    assert np.abs(pixels(kept).astype(int) - pixels(drawn).astype(int)).max() <= 1


def test_all_pictures_are_drawn() -> None:
    names = {f"{name}{suffix}.png" for name in brand_pictures.NAMES for suffix in ("", "@2x")}
    assert {path.name for path in (FOLDER / "brand").iterdir()} == names


def pixels(picture: bytes) -> Any:
    wide, high, depth, colours = struct.unpack(">IIBB", picture[16:26])
    assert (depth, colours) == (8, 6)  # RGBA
    begin = picture.index(b"IDAT")
    length = struct.unpack(">I", picture[begin - 4 : begin])[0]
    lines = zlib.decompress(picture[begin + 4 : begin + 4 + length])
    return np.frombuffer(lines, np.uint8).reshape(high, 1 + wide * 4)[:, 1:].reshape(high, wide, 4)


def walk(kind: type[Any]) -> Iterator[Any]:
    return (node for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, kind))


def functions() -> Iterator[str]:
    return (node.name for node in walk(ast.AsyncFunctionDef))


def constants(tree: ast.Module, enum: str) -> dict[str, str]:
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enum)
    return {
        ast.unparse(each.targets[0]): str(each.value.value)
        for each in found.body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
    }


RULES = {
    "action-setup",
    "appropriate-polling",
    "brands",
    "common-modules",
    "config-flow",
    "config-flow-test-coverage",
    "dependency-transparency",
    "docs-actions",
    "docs-high-level-description",
    "docs-installation-instructions",
    "docs-removal-instructions",
    "entity-event-setup",
    "entity-unique-id",
    "has-entity-name",
    "runtime-data",
    "test-before-configure",
    "test-before-setup",
    "unique-config-entry",
    "action-exceptions",
    "config-entry-unloading",
    "docs-configuration-parameters",
    "docs-installation-parameters",
    "entity-unavailable",
    "integration-owner",
    "log-when-unavailable",
    "parallel-updates",
    "reauthentication-flow",
    "test-coverage",
    "devices",
    "diagnostics",
    "discovery",
    "discovery-update-info",
    "docs-data-update",
    "docs-examples",
    "docs-known-limitations",
    "docs-supported-devices",
    "docs-supported-functions",
    "docs-troubleshooting",
    "docs-use-cases",
    "dynamic-devices",
    "entity-category",
    "entity-device-class",
    "entity-disabled-by-default",
    "entity-translations",
    "exception-translations",
    "icon-translations",
    "reconfiguration-flow",
    "repair-issues",
    "stale-devices",
    "async-dependency",
    "inject-websession",
    "strict-typing",
}
