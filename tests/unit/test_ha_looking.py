"""What a home's things say, where somebody asks about them."""

from __future__ import annotations

from typing import Any

import pytest

from custom_components.edgeassist.looking import MOST, told
from custom_components.edgeassist.tiny.home import Area, Home, Thing

KITCHEN, HALL, BATH = Area("k", "Kitchen", ("Küche",)), Area("h", "Hall"), Area("b", "Bathroom")


def thing(
    entity: str, name: str, area: str | None, state: str, kind: str | None = None, **more: Any
) -> Thing:
    return Thing(entity, (name,), area, kind, state, more)


HOME = Home(
    (KITCHEN, HALL, BATH),
    (),
    (
        thing("light.k", "Kitchen light", "k", "off"),
        thing("light.b", "Mirror", "b", "on"),
        thing("lock.front", "Front door", "h", "locked"),
        thing("cover.garage", "Garage door", None, "open", "garage"),
        thing("binary_sensor.w", "Skylight", "b", "off", "window"),
        thing("sensor.k", "Kitchen temperature", "k", "21.5", "temperature", unit_of_measurement="°C"),
        thing("sensor.f", "Freezer power", "k", "80", "power", unit_of_measurement="W"),
        thing("switch.f", "Freezer", "k", "on"),
        thing(
            "climate.b",
            "Heating",
            "b",
            "heat",
            hvac_action="idle",
            current_temperature=20.5,
            temperature=22,
            temperature_unit="°C",
        ),
        thing("binary_sensor.m", "Motion", "h", "unavailable", "motion"),
    ),
)


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ("Is the front door locked?", ["Front door (Hall): locked"]),
        ("Which lights are on?", ["Kitchen light: off", "Mirror (Bathroom): on"]),
        ("Welche Lampen brennen?", ["Kitchen light: off", "Mirror (Bathroom): on"]),
        ("Is the window in the bathroom open?", ["Skylight (Bathroom): closed"]),
        ("is the freezer running", ["Freezer (Kitchen): on", "Freezer power (Kitchen): 80 W"]),
        (
            "How warm is it?",
            ["Heating (Bathroom): idle, now 20.5 °C, set to 22 °C", "Kitchen temperature: 21.5 °C"],
        ),
        ("Wie warm ist es in der Küche?", ["Kitchen temperature: 21.5 °C"]),
        ("What about the hall?", ["Front door (Hall): locked", "Motion (Hall): not known"]),
        ("厨房的灯亮着吗", ["Kitchen light: off"]),
        ("Is the garage door closed?", ["Garage door: open"]),
    ],
)
def test_what_a_question_is_about_is_told(said: str, lines: list[str]) -> None:
    assert (told(HOME, said) or "").splitlines() == [f"- {line}" for line in lines]


@pytest.mark.parametrize("said", ["Who was Ada Lovelace?", "Is it dark in here?", ""])
def test_of_what_is_no_part_of_the_home_nothing_is_told(said: str) -> None:
    assert told(HOME, said) is None


def test_a_large_home_is_told_in_part() -> None:
    many = tuple(thing(f"light.{number}", f"Spot {number}", None, "on") for number in range(2 * MOST))
    assert len((told(Home((), (), many), "which lights are on") or "").splitlines()) == MOST
