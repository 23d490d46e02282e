"""The commands and programs of docs/decisions.md, against a device that counts how often an option occurs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.protocol.decisions import DecisionAnswer, DecisionRequest, Question
from edgeassist.testing import ScriptedDevice
from tests.examples.documents import ROOT, check_program, check_session, check_types, shell_environ

DOCUMENT = (ROOT / "docs" / "decisions.md").read_text()
SESSIONS = re.findall(r"^```console\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
PROGRAMS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
SAID = ["light on: kitchen\nwhich room?\n"]
NAME = re.compile(r"`(\w+)`")


@pytest.fixture(scope="module")
def device() -> Iterator[ScriptedDevice]:
    with ScriptedDevice(name="pi") as running:
        yield running


@pytest.fixture
def environ(device: ScriptedDevice, tmp_path: Path) -> dict[str, str]:
    """Of a shell that knows the command `edgeassist` and reaches the device."""
    return shell_environ(device, tmp_path)


@pytest.mark.parametrize("session", SESSIONS, ids=range(len(SESSIONS)))
def test_a_command_of_the_document_prints_what_stands_under_it(
    device: ScriptedDevice, environ: dict[str, str], tmp_path: Path, session: str
) -> None:
    check_session(session, device, environ, tmp_path)


@pytest.mark.parametrize(("number", "said"), list(enumerate(SAID)))
def test_a_program_of_the_document_runs(
    device: ScriptedDevice, environ: dict[str, str], tmp_path: Path, number: int, said: str
) -> None:
    check_program(PROGRAMS[number], said, device, environ, tmp_path)


def test_the_programs_pass_a_strict_type_check(tmp_path: Path) -> None:
    assert len(PROGRAMS) == len(SAID)
    check_types(PROGRAMS, tmp_path)


def section(heading: str) -> str:
    """Return the text between a heading and the next one."""
    return DOCUMENT.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_tables_have_every_field_and_no_other() -> None:
    def named(text: str) -> set[str]:
        return {
            name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in NAME.findall(row)
        }

    request, question = section("A request").split("A question:")
    assert named(request) == set(DecisionRequest.model_fields)
    assert named(question) == set(Question.model_fields)
    assert named(section("An answer")) == set(DecisionAnswer.model_fields) - {"type"}


def test_what_is_quoted_stands_in_the_recorded_session() -> None:
    recorded = json.loads((ROOT / "tests" / "wire" / "v1" / "decisions.json").read_text())
    flat = re.sub(r"\s", "", json.dumps(recorded, ensure_ascii=False))
    quotes = re.findall(r"^```json decisions.json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert quotes
    for quote in quotes:
        assert re.sub(r"\s", "", quote).rstrip(",") in flat
