"""The commands and programs of docs/tools.md, against a device that answers as they say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.events import Called, Done, parse_event
from edgeassist.protocol.requests import parse_prompt
from edgeassist.testing import ScriptedDevice, calling
from tests.examples.documents import ROOT, check_program, check_session, check_types, shell_environ

DOCUMENT = (ROOT / "docs" / "tools.md").read_text()
SESSIONS = re.findall(r"^```console\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
PROGRAMS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
ANSWERS = {
    "It is dark*": calling("set_relay", relay="porch", on=True),
    "How warm*": calling("temperature", room="nursery"),
    '*"celsius": 19.5*': "It is 19.5 °C.",
    "Beep*": calling("beep"),
    "It beeped*": "You should have heard it.",
}
SAID = ["It is 19.5 °C.\n", "You should have heard it.\n", ""]


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
    (tmp_path / "relay.json").write_text(BLOCKS[0])
    check_session(session, device, environ, tmp_path)


@pytest.mark.parametrize(("number", "said"), list(enumerate(SAID)))
def test_a_program_of_the_document_runs(
    device: ScriptedDevice, environ: dict[str, str], tmp_path: Path, number: int, said: str
) -> None:
    check_program(PROGRAMS[number], said, device, environ, tmp_path)


def test_all_programs_of_the_document_pass_a_strict_type_check(tmp_path: Path) -> None:
    assert len(PROGRAMS) == len(SAID)
    check_types(PROGRAMS, tmp_path)


def test_the_json_of_the_document_is_what_is_sent_and_comes() -> None:
    relay, results, events = BLOCKS
    parse_prompt(json.dumps({"prompt": "x", "tools": [json.loads(relay)]}).encode(), limit=10_000)
    parse_prompt(results.replace("[…]", f"[{relay}]").encode(), limit=10_000)
    call, end = events.splitlines()
    assert isinstance(parse_event(call.encode()), Called)
    assert 100 < len(call) < 130
    with pytest.raises(ValueError, match="validation error"):  # a short one
        parse_event(end.encode())
    assert set(json.loads(end)) <= {"id", "seq", *Done.model_fields}


REFUSED: list[dict[str, object]] = [
    {"prompt": "x", "tools": [{"name": "a"}]},
    {"prompt": "x", "tool_choice": "auto"},
    {"prompt": "x", "tools": [{"type": "function", "function": {"name": "a"}}], "json_schema": {}},
    {"prompt": "x", "tools": [{"type": "function", "function": {"name": "a"}}], "format": "text"},
    {
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "a", "arguments": {}}}]},
        ]
        * 2
    },
    {
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}] * 1
        + [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "c", "content": "x"}]
    },
]


def test_the_errors_of_the_document_are_those_that_come() -> None:
    rows = re.findall(r"^\| `([^`]*)` \|", DOCUMENT.partition("## When it is refused")[2], re.MULTILINE)
    for row, request in zip(rows, REFUSED, strict=False):
        with pytest.raises(InvalidRequestError) as refusal:
            parse_prompt(json.dumps(request).encode(), limit=10_000)
        parts = [part.strip() for part in row.split("…") if part.strip()]
        assert all(part in refusal.value.message for part in parts), (row, refusal.value.message)
        assert refusal.value.message.startswith(parts[0])
