import json

import pytest

from edgeassist.cli.action import describe_action


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"action": "turn_on", "device": "coffee_machine"}, "coffee machine: turn on"),
        ({"action": "lock", "device": "door", "room": "garage"}, "garage door: lock"),
        ({"action": "turn_off", "device": "light", "room": "all"}, "everywhere light: turn off"),
        (
            {"action": "set", "device": "light", "room": "kitchen", "property": "brightness", "value": 30},
            "kitchen light: brightness to 30 %",
        ),
        (
            {
                "action": "set",
                "device": "air_conditioner",
                "room": "卧室",
                "property": "temperature",
                "value": 26,
            },
            "卧室 air conditioner: temperature to 26 °C",
        ),
        (
            {"action": "set", "device": "light", "property": "color", "value": "warm_white"},
            "light: color to warm white",
        ),
        (
            {"action": "increase", "device": "heating", "property": "temperature", "value": 0.5},
            "heating: temperature up by 0.5 °C",
        ),
        ({"action": "decrease", "device": "tv", "property": "volume"}, "tv: volume down"),
    ],
)
def test_an_action_is_told_in_words(action: dict[str, object], words: str) -> None:
    assert describe_action(json.dumps(action)) == words


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Hello!",
        "30",
        '["action"]',
        '{"action": "turn_on"}',
        '{"action": "set", "device": ',
        '{"answer": 1}',
    ],
)
def test_other_answers_are_no_action(answer: str) -> None:
    assert describe_action(answer) is None
