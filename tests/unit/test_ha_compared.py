"""What the comparison with other agents counts as right, and that its commands undo what they did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Set

import pytest

from tests.home_assistant.compared import SENTENCES, Kind, Sentence, is_right
from tests.patience import PATIENCE_S

LIGHT = next(each for each in SENTENCES if each.said == "Turn on the kitchen light")
DEGREES = next(each for each in SENTENCES if "temperature" in each.said)
LIGHTS = next(each for each in SENTENCES if each.said == "Which lights are on?")
THANKS = next(each for each in SENTENCES if each.said.startswith("Thank you"))
KITCHEN = frozenset({"light.kitchen"})
COMMAND = """
import asyncio
from tests.home_assistant import ending

async def main():
    try:
        print("begun", flush=True)
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(0)
        print("undone", flush=True)

ending.run(main())
"""


def test_most_of_what_is_said_are_commands_and_each_class_is_there() -> None:
    assert [sum(each.kind is kind for each in SENTENCES) for kind in Kind] == [15, 3, 2]


@pytest.mark.parametrize(
    ("sentence", "changed", "words", "right"),
    [
        (LIGHT, KITCHEN, "Turned on the Kitchen light.", True),
        (LIGHT, KITCHEN, "", False),
        (LIGHT, KITCHEN, '{"name": "intent__HassTurnOn"}', False),
        (LIGHT, KITCHEN, "I called intent__HassTurnOn for you.", False),
        (LIGHT, frozenset(), "Turned on the Kitchen light.", False),
        (LIGHT, KITCHEN | {"light.hall"}, "Turned on two lights.", False),
        (DEGREES, frozenset(), "It is 21.5 °C.", True),
        (DEGREES, frozenset(), "It is 22 degrees.", False),
        (DEGREES, KITCHEN, "It is 21.5 °C.", False),
        (LIGHTS, frozenset(), "The hall light is on.", True),
        (LIGHTS, frozenset(), "The hall light and the kitchen light are on.", False),
        (THANKS, frozenset(), "You're welcome!", True),
        (THANKS, frozenset(), "```json\n```", False),
    ],
)
def test_right_is_what_was_wanted_and_no_more(
    sentence: Sentence, changed: Set[str], words: str, *, right: bool
) -> None:
    assert is_right(sentence, changed, {"light.kitchen": "on"}, words) is right


def test_a_command_that_is_told_to_end_undoes_what_it_did() -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True, env=environ
    ) as told:
        assert told.stdout is not None
        assert told.stdout.readline() == "begun\n"
        told.send_signal(signal.SIGTERM)
        assert told.stdout.read() == "undone\n"
        assert told.wait(PATIENCE_S) == 128 + signal.SIGTERM
