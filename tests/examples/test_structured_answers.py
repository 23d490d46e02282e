"""The commands of docs/structured-answers.md, against a device that answers as they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.models.builtin import home_grammar
from edgeassist.testing import ScriptedDevice
from tests.conftest import Wire
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "structured-answers.md").read_text()
SESSIONS = re.findall(r"^```console\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
SCHEMA = DOCUMENT.partition("`light.json`:\n\n```json\n")[2].partition("```")[0]
# One word of a choice, to a board: with fixed header, length of the topic and packet identifier.
WORD_BYTES = 16
ANSWERS = {
    "It rains*": "yes",
    "The tumble dryer*": "yes",
    "It is dark*": '{"room":"kitchen","on":true}',
    "Is that urgent*water?": "yes",
    "Is that urgent*drips?": "no",
    "How many minutes*": "8",
    "Turn on*": '{"action":"turn_on","device":"light","room":"kitchen"}',
    "How warm*": "The nursery temperature is 19.5 °C.",
    "Light the porch*": "off",
}


@pytest.fixture(scope="module")
def device() -> Iterator[ScriptedDevice]:
    with ScriptedDevice(ANSWERS, name="pi") as running:
        yield running


@pytest.fixture
def environ(device: ScriptedDevice, tmp_path: Path) -> dict[str, str]:
    """Of a shell that knows the command `edgeassist` and reaches the device."""
    for name, words in {"edgeassist": "-m edgeassist", "python3": ""}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")},
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "EDGEASSIST_MQTT__HOST": device.host,
        "EDGEASSIST_MQTT__PORT": str(device.port),
        "EDGEASSIST_DEVICE__NAME": "pi",
    }


@pytest.mark.parametrize("session", SESSIONS, ids=range(len(SESSIONS)))
def test_a_command_of_the_document_prints_what_stands_under_it(
    device: ScriptedDevice, environ: dict[str, str], tmp_path: Path, session: str
) -> None:
    if "| jq " in session and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    (tmp_path / "light.json").write_text(SCHEMA)
    session = session.replace("mosquitto_rr", f"mosquitto_rr -h {device.host} -p {device.port}")
    commands = [line.removeprefix("$ ") for line in session.splitlines() if line.startswith("$ ")]
    expected = [line for line in session.splitlines() if not line.startswith("$ ")]
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-ec", "\n".join(commands)],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=4 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == expected
    if (grammar := tmp_path / "home.lark").exists():
        assert grammar.read_text() == home_grammar() + "\n"


async def test_the_word_for_a_board_is_as_small_as_the_document_says(device: ScriptedDevice) -> None:
    (request,) = re.findall(r'^\{"id": "1".*?\}$', DOCUMENT, re.MULTILINE | re.DOTALL)
    assert f"in {WORD_BYTES} bytes" in DOCUMENT
    async with Wire(device.port, ("reply/#",)) as wire:
        wire.say(device.topics.prompt(), request)
        assert (await wire.answer())["text"] == "off"
    word, empty, end = wire.heard
    assert [(each.topic, each.payload) for each in (word, empty)] == [("reply/1", b"off"), ("reply/1", b"")]
    assert end.topic == "reply/1/end"
    assert 1 + 1 + 2 + len(word.topic) + 2 + len(word.payload) == WORD_BYTES
