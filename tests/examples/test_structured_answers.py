"""The commands of docs/structured-answers.md, against a device that answers as they say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.models.builtin import home_grammar
from edgeassist.testing import ScriptedDevice
from tests.conftest import Wire
from tests.examples.documents import ROOT, check_session, shell_environ

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
    return shell_environ(device, tmp_path)


@pytest.mark.parametrize("session", SESSIONS, ids=range(len(SESSIONS)))
def test_a_command_of_the_document_prints_what_stands_under_it(
    device: ScriptedDevice, environ: dict[str, str], tmp_path: Path, session: str
) -> None:
    (tmp_path / "light.json").write_text(SCHEMA)
    check_session(session, device, environ, tmp_path)
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
