"""Thoughts, as a person at a terminal and a program see them: over a real broker, and with real tokens."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.client import Chunk, Client, Done, InvalidRequestError, Reasoning
from edgeassist.sandbox import HOST
from edgeassist.testing import ScriptedDevice
from tests.conftest import TakeBox, expect_done
from tests.patience import PATIENCE_S

TEXT = "It is 5."
ANSWERS = {
    "sum": f"<think>\nTwo and three.\n</think>\n\n{TEXT}",
    "long": f"<think>\n{'Again and again. ' * 400}\n</think>\n\n{TEXT}",
}
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\n\\n' }}"
    "{% else %}{{ '<think>\\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def device() -> Iterator[ScriptedDevice]:
    with ScriptedDevice(ANSWERS, stream__interval_ms=0) as device:
        yield device


@pytest.fixture
def client(device: ScriptedDevice) -> Iterator[Client]:
    with device.client("me") as client:
        yield client


def ask(device: ScriptedDevice, *arguments: str, terminal: bool = False) -> tuple[str, str]:
    """Run `edgeassist ask`; return what it printed, and what on standard error."""
    environ = {
        **os.environ,
        "EDGEASSIST_DEVICE__NAME": device.name,
        "EDGEASSIST_MQTT__HOST": HOST,
        "EDGEASSIST_MQTT__PORT": str(device.port),
    }
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "edgeassist", "ask", *arguments],
        env=environ,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        said = b""
        while data := _read(ours):
            said += data
        os.close(ours)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    return said.decode().replace("\r\n", "\n"), errors


def _read(file: int) -> bytes:
    try:
        return os.read(file, 4096)
    except OSError:  # of a terminal that nobody writes to any more
        return b""


def test_a_program_gets_thoughts_apart_from_the_text(client: Client) -> None:
    with client.stream("sum") as stream:
        events = list(stream.events())
        answer = stream.result()
    assert "".join(each.text for each in events if isinstance(each, Reasoning)) == "Two and three."
    assert "".join(each.text for each in events if isinstance(each, Chunk)) == TEXT
    assert isinstance(events[-1], Done)
    assert (stream.reasoning, answer.reasoning, answer.text) == ("Two and three.", "Two and three.", TEXT)
    assert not answer.only_reasoning
    assert answer.usage.reasoning_tokens


def test_a_program_that_only_wants_texts_gets_no_thoughts(client: Client) -> None:
    assert "".join(client.stream("sum")) == TEXT


def test_a_long_thought_does_not_take_the_answer_away(client: Client) -> None:
    answer = client.ask("long", max_tokens=60)
    assert (answer.text, answer.finish_reason) == (TEXT, "stop")
    assert answer.usage.reasoning_tokens is not None
    assert 30 <= answer.usage.reasoning_tokens <= 34


def test_a_program_may_ask_for_no_thoughts_or_for_few(client: Client) -> None:
    for fields in ({"think": False}, {"reasoning_budget": 0}):
        answer = client.ask("sum", **fields)
        assert (answer.text, answer.reasoning, answer.usage.reasoning_tokens) == (TEXT, "", None)
    assert len(client.ask("long", reasoning_budget=10).reasoning) <= 40
    with pytest.raises(InvalidRequestError, match="reasoning_budget"):
        client.ask("sum", reasoning_budget=100, max_tokens=100)


def test_a_setting_is_the_default_of_the_request() -> None:
    with ScriptedDevice(ANSWERS, model__think="off") as device, device.client() as client:
        assert client.ask("sum").reasoning == ""
        assert client.ask("sum", think=True).reasoning == "Two and three."
        assert client.ask("sum", think="auto").reasoning == "Two and three."
    with ScriptedDevice(ANSWERS, sampling__reasoning_budget=4) as device, device.client() as client:
        assert len(client.ask("long").reasoning) <= 16


def test_a_person_sees_thoughts_dimmed_where_they_are_asked_for(device: ScriptedDevice) -> None:
    said, _ = ask(device, "--think", "sum", terminal=True)
    assert said.replace("\x1b[22m\x1b[2m", "") == f"\x1b[2mTwo and three.\x1b[22m\n\n{TEXT}\n"
    assert ask(device, "sum", terminal=True)[0] == f"{TEXT}\n"
    assert ask(device, "--no-think", "sum", terminal=True)[0] == f"{TEXT}\n"


def test_what_is_no_terminal_gets_the_answer_alone(device: ScriptedDevice) -> None:
    assert ask(device, "--think", "sum") == (f"{TEXT}\n", "")


def test_a_person_is_told_of_an_answer_that_is_nothing_but_thoughts(device: ScriptedDevice) -> None:
    said, errors = ask(device, "--max-tokens", "4", "long")
    assert said.strip() == ""
    assert "--no-think" in errors


@pytest.mark.parametrize("model", ["trial_model", "trial_onnx"])
async def test_a_model_that_never_ends_its_thought_answers_all_the_same(
    request: pytest.FixtureRequest, take_box: TakeBox, tmp_path: Path, model: str
) -> None:
    template = tmp_path / "thinks.jinja"
    template.write_text(TEMPLATE)
    box = await take_box(model__path=request.getfixturevalue(model), model__template=template)
    fields = {"max_tokens": 40, "ignore_eos": True, "temperature": 0}
    events = [event async for event in box.client.ask("Why?", **fields)]
    done = expect_done(events[-1])
    assert done.text == "".join(event.text for event in events if isinstance(event, Chunk)) != ""
    assert done.reasoning
    assert "think>" not in done.text + done.reasoning
    assert done.usage.reasoning_tokens is not None
    assert 20 < done.usage.reasoning_tokens < 40
    unwanted = [event async for event in box.client.ask("Why?", think=False, **fields)]
    assert expect_done(unwanted[-1]).reasoning is None
    assert not [event for event in unwanted if isinstance(event, Reasoning)]
