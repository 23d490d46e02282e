"""`edgeassist decide` as a person runs it, against a real broker and daemon."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeassist.protocol.events import Done, parse_event
from edgeassist.sandbox import HOST
from tests import preloaded
from tests.boxes import Boxes

STATE = "The lamp in the kitchen, over the kitchen's stove, is broken"
Decide = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def decide(boxes: Boxes) -> Decide:
    """Run the command for a device that other tests use too (tests/boxes.py)."""
    port = boxes.take(engine__slots=1).broker.port

    def run(*arguments: str, read: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
        ours = {"MQTT__HOST": HOST, "MQTT__PORT": str(port), "DEVICE__NAME": "box"}
        kept |= {f"EDGEASSIST_{key}": value for key, value in ours.items()}
        kept |= {"COLUMNS": "60", **environ}
        return preloaded.run("decide", *arguments, environ=kept, read=read)

    return run


def test_the_pick_has_the_longest_bar(decide: Decide) -> None:
    ended = decide(STATE, "--choice", "room=bath,kitchen: Which room is meant?")
    assert (ended.returncode, ended.stderr) == (0, "")
    title, bath, kitchen = ended.stdout.splitlines()
    assert title == "room: Which room is meant?"
    assert kitchen.startswith("> kitchen")
    assert kitchen.count("█") > bath.count("█") > 0
    assert len(kitchen) <= 60
    plain = decide(STATE, "--choice", "bath,kitchen", PYTHONIOENCODING="ascii")
    assert "#" in plain.stdout


def test_one_that_abstains_is_told_and_ends_with_1(decide: Decide) -> None:
    ended = decide("silence", "--yes-no", "Is it late?", "--choice", "a b,c d")
    assert ended.returncode == 1
    assert ended.stdout.count("not sure: the first two are only 0.0 % apart") == 2
    assert decide("silence", "--choice", "a b,c d", "--threshold", "0").returncode == 0


def test_the_answer_is_printed_as_json(decide: Decide) -> None:
    ended = decide(STATE, "--choice", "room=bath,kitchen", "--score", "risk=0..4:2", "--json")
    done = parse_event(ended.stdout.encode())
    assert isinstance(done, Done)
    assert done.answers is not None
    assert done.answers["room"].choice == "kitchen"
    assert list(done.answers["risk"].probabilities or ()) == ["0", "2", "4"]


def test_a_state_is_read_from_standard_input_and_from_files(decide: Decide, tmp_path: Path) -> None:
    assert "> kitchen" in decide("-", "--choice", "bath,kitchen", read=STATE).stdout
    text, document = tmp_path / "state.txt", tmp_path / "state.json"
    text.write_text(STATE)
    document.write_text(json.dumps({"lamps": [STATE]}))
    for file in (text, document):
        assert "> kitchen" in decide("--state-file", str(file), "--choice", "bath,kitchen").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((STATE,), "there is no question"),
        (("--choice", "a,b"), "give what is to be judged"),
        ((STATE, "--choice", "a"), "is one option"),
        ((STATE, "--choice", "a,b", "--threshold", "7"), "threshold: "),
        ((STATE, "--choice", "a,b", "--fit"), "--fit, --wanted, --robust and --against go with --eval"),
        (("  ", "--choice", "a,b"), "state: is empty"),
        ((STATE * 900, "--choice", "a,b"), "the context holds"),
        (("--state-file", "/no/such", "--choice", "a,b"), "can't be read"),
    ],
)
def test_what_is_wrong_is_told_and_ends_with_2(decide: Decide, arguments: tuple[str, ...], said: str) -> None:
    ended = decide(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr


def test_without_a_device_it_says_so(decide: Decide) -> None:
    ended = decide(STATE, "--choice", "a,b", EDGEASSIST_DEVICE__NAME="attic")
    assert ended.returncode == 69
    assert "the device 'attic' is not online" in ended.stderr
