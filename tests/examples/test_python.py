"""The examples in Python, and those of docs/client.md, against a real Mosquitto and daemon."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist import sandbox
from edgeassist.client import EdgeAssistError
from edgeassist.errors import ConfigurationError
from edgeassist.sandbox import free_port
from edgeassist.testing import ScriptedDevice, script

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "python"
DOCUMENT = (ROOT / "docs" / "client.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
TEXT = "The kitchen light is on, and the window is open."
# Some start a device of their own, or a type checker.
LIMIT_S = 240
pytestmark = pytest.mark.timeout(LIMIT_S + 60)
ASKING = pytest.mark.parametrize("program", ["ask.py", "plain_paho.py"])


@pytest.fixture(scope="module")
def device() -> Iterator[ScriptedDevice]:
    """A device with the name, and in the fleet, that the document uses."""
    with ScriptedDevice(name="kitchen-pi", fleet__group="home") as running:
        yield running


@pytest.fixture(autouse=True)
def _as_new(device: ScriptedDevice) -> None:
    device.reset()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environ, cwd=ROOT
    )


def ask(program: str, device: ScriptedDevice, *prompts: str) -> subprocess.CompletedProcess[str]:
    return run(EXAMPLES / program, "--port", device.port, device.host, device.name, *prompts)


@ASKING
def test_an_answer_is_printed_once(device: ScriptedDevice, program: str) -> None:
    device.answers = {"Is the light on?": script(TEXT, delay_ms=5)}
    ended = ask(program, device, "Is the light on?")
    assert (ended.returncode, ended.stdout) == (0, TEXT + "\n"), ended.stderr


@ASKING
def test_an_error_is_told_from_an_answer(device: ScriptedDevice, program: str) -> None:
    device.answers = {"*": script(TEXT, crash_after=3)}
    ended = ask(program, device, "Is the light on?")
    assert ended.returncode == 75
    assert "engine_crashed: " in ended.stderr


@ASKING
def test_a_request_that_is_wrong_is_not_worth_trying_again(device: ScriptedDevice, program: str) -> None:
    ended = ask(program, device, " ")
    assert ended.returncode == 1
    assert "invalid_request: the prompt is empty" in ended.stderr


@ASKING
def test_without_a_broker_it_says_so(program: str) -> None:
    ended = run(EXAMPLES / program, "--port", free_port(), "127.0.0.1", "box", "hello")
    assert ended.returncode in {1, 75}
    assert "Traceback" not in ended.stderr
    assert "127.0.0.1" in ended.stderr


def test_plain_paho_needs_nothing_of_edgeassist() -> None:
    assert "edgeassist." not in (EXAMPLES / "plain_paho.py").read_text()


def test_several_are_answered_at_once_and_one_that_fails_fails_alone(device: ScriptedDevice) -> None:
    device.answers = {"one": script(TEXT, delay_ms=5), "two": "second"}
    ended = ask("stream_async.py", device, "one", " ", "two")
    assert ended.returncode == 1
    assert f"1 = {TEXT}\n" in ended.stdout
    assert "3 = second\n" in ended.stdout
    assert ended.stderr.startswith("2 failed: invalid_request: ")


def test_a_users_own_tests_pass() -> None:
    ended = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", EXAMPLES, EXAMPLES)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 passed" in ended.stdout


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_document_runs(device: ScriptedDevice, tmp_path: Path, number: int) -> None:
    device.answers = {"Turn on*": '{"action": "set", "device": "light"}'}
    program = PROGRAMS[number].replace('"pi.local"', f'"{device.host}", {device.port}')
    path = tmp_path / "test_program.py"
    path.write_text(program)
    ended = run("-m", "pytest", "-q", path) if "\ndef test_" in program else run(path)
    assert ended.returncode == 0, program + ended.stdout + ended.stderr


def test_the_examples_and_the_document_pass_a_strict_type_check(tmp_path: Path) -> None:
    paths = sorted(EXAMPLES.glob("*.py"))
    for number, program in enumerate(PROGRAMS):
        paths.append(tmp_path / f"program{number}.py")
        paths[-1].write_text(program)
    ended = run("-m", "mypy", "--strict", *paths)
    assert ended.returncode == 0, ended.stdout


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(sandbox.__file__).parent / "py.typed").exists()


# --- edgeassist.testing ---------------------------------------------------------------------------------


def test_answers_are_by_prompt_by_pattern_or_the_prompt_itself(device: ScriptedDevice) -> None:
    device.answers = {"How warm is it?": "19.5 °C", "*window*": "open", "[x]": "brackets"}
    with device.client() as client:
        said = [client.ask(each).text for each in ("How warm is it?", "the window?", "[x]", "hello")]
        assert said == ["19.5 °C", "open", "brackets", "hello"]
        device.answers = {"*": "closed"}
        assert client.ask("the window?").text == "closed"


def test_a_device_without_mosquitto_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    with pytest.raises(ConfigurationError, match="mosquitto is not installed: sudo apt-get install"):
        ScriptedDevice().__enter__()


def test_a_daemon_that_does_not_start_says_why() -> None:
    with pytest.raises(EdgeAssistError, match=r"(?s)the daemon has ended.*engine\.slots"):
        ScriptedDevice(engine__slots="many").__enter__()


def test_a_device_that_was_stopped_is_as_new_after_a_reset(device: ScriptedDevice) -> None:
    device.answers = {"*": "changed"}
    device.daemon.stop()
    device.broker.stop()
    device.reset()
    with device.client() as client:
        assert client.ask("hello").text == "hello"
