"""A plain command's verb says which tool it is for; where more is said, or less, the model chooses."""

from __future__ import annotations

import time

import pytest

from custom_components.edgeassist.choosing import chosen
from custom_components.edgeassist.tiny.home import Area, Home, Thing

HOME = Home(
    (
        Area("kitchen", "Kitchen", ("厨房",)),
        Area("garage", "Garage"),
        Area("living", "Living room", ("客厅", "Wohnzimmer")),
        Area("hall", "Hall"),
    ),
    (),
    (
        Thing("light.kitchen", ("Kitchen light",), "kitchen"),
        Thing("light.reading", ("Reading lamp", "Leselampe"), "living"),
        Thing("switch.coffee", ("Coffee machine",), "kitchen"),
        Thing("cover.blinds", ("Living room blinds",), "living", "blind"),
        Thing("cover.garage", ("Opener",), "garage", "garage"),
        Thing("cover.hatch", ("Hatch",), "kitchen", "window"),
        Thing("lock.front", ("Front door",), "hall"),
        Thing("lock.back", ("Back door",), "hall"),
        Thing("light.low", ("Low lamp",), "living"),
        Thing("media_player.radio", ("Kitchen radio",), "kitchen"),
        Thing("climate.living", ("Living room heating",), "living"),
        Thing("fan.hall", ("Hall fan",), "hall"),
        Thing("vacuum.robot", ("Robot",), "hall"),
        Thing("sensor.robot", ("Robot",), "hall"),
        Thing("script.on_air", ("On air",)),
    ),
)
ON, OFF = "HassTurnOn", "HassTurnOff"


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("Turn on the kitchen light", ON),
        ("turn the reading lamp off, please", OFF),
        ("turn the reading lamp in the living room off", OFF),
        ("Could you switch on the coffee machine?", ON),
        ("Switch off the lights in the living room", OFF),
        ("turn on the light", ON),
        ("kitchen light off", OFF),
        ("Close the living room blinds", OFF),
        ("open the blinds in the living room", ON),
        ("Open the garage door", ON),
        ("Lock the front door", ON),
        ("unlock the front door", OFF),
        ("Pause the kitchen radio", "HassMediaPause"),
        ("resume the music in the kitchen", "HassMediaUnpause"),
        ("start the robot", "HassVacuumStart"),
        ("dim the kitchen light to 30%", "HassLightSet"),
        ("turn the reading lamp down to 20 percent", "HassLightSet"),
        ("set the living room heating to 21 degrees", "HassClimateSetTemperature"),
        ("Schalte die Leselampe ein", ON),
        ("mach das Licht im Wohnzimmer aus", OFF),
        ("Schließ die Front door ab", ON),
        ("打开厨房的灯", ON),
        ("请把客厅的灯关掉", OFF),
    ],
)
def test_the_verb_of_a_plain_command_says_which_tool_it_is_for(said: str, intent: str) -> None:
    found = chosen(said, HOME)
    assert found is not None
    assert found.intent == intent


@pytest.mark.parametrize(
    ("said", "thing", "whole"),
    [
        ("turn on the reading lamp", "light.reading", True),
        ("pause the kitchen radio", "media_player.radio", True),
        ("turn on the lights in the living room", None, False),
        ("turn on the light in the kitchen", "light.kitchen", True),
        ("close the door in the hall", None, False),
        ("close the garage door", "cover.garage", True),
        ("open the garage", None, False),
        ("close the living room curtains", "cover.blinds", True),
        ("dim the reading lamp to 30 percent", "light.reading", False),
    ],
)
def test_where_one_thing_is_named_and_no_value_given_nothing_is_left_to_a_model(
    said: str, thing: str | None, *, whole: bool
) -> None:
    found = chosen(said, HOME)
    assert (found and found.thing and found.thing.entity_id, bool(found and found.whole)) == (thing, whole)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "the kitchen",
        "Is the kitchen light on?",
        "turn on the kitchen light and the reading lamp",
        "turn on the kitchen light if it is dark",
        "turn on the kitchen light for ten minutes",
        "turn on the kitchen light at seven",
        "turn the kitchen light red",
        "turn on everything",
        "don't turn on the kitchen light",
        "turn on all lights except the kitchen light",
        "turn on the robot",
        "turn on the on air",
        "turn up the kitchen radio",
        "set the living room blinds to 50 percent",
        "open the living room blinds halfway",
        "open the door",
        "open the door in the living room",
        "close the kitchen blinds",
        "open the kitchen door",
        "pause the kitchen light",
        "turn on the reading lamp in the kitchen",
        "turn off the kitchen radio lamp",
        "the kitchen light's on",
        "unlock the door in the hall",
        "unlock the lock",
        "play some jazz in the kitchen",
        "mach es gemütlich im Wohnzimmer",
        "厨房太暗了",
        "打开厨房的灯十分钟",
        "不要打开厨房的灯",
    ],
)
def test_the_model_chooses_where_more_is_said_or_less(said: str) -> None:
    assert chosen(said, HOME) is None


def test_where_two_are_called_alike_the_area_says_which() -> None:
    lamps = tuple(Thing(f"light.{area}", ("Floor lamp",), area) for area in ("kitchen", "living"))
    home = Home(HOME.areas, (), (*lamps, *HOME.things))
    there = chosen("turn on the floor lamp in the living room", home)
    assert there is not None
    assert there.thing is lamps[1]
    assert there.area == "Living room"
    other = chosen("turn on the kitchen light", home)
    assert other is not None
    assert other.area is None


@pytest.mark.parametrize("said", ["turn on " * 3000, "打开" * 9000, "set to 1 " + "% " * 9000, "请" * 20_000])
def test_nothing_that_is_said_holds_up_the_house(said: str) -> None:
    begin = time.process_time()
    chosen(said, HOME)
    assert time.process_time() - begin < 2
