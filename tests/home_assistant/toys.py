"""Homes for tests: areas, satellites and toys, which are entities that do what they are told."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Area:
    """A room, with the other names that people have for it."""

    name: str
    aliases: tuple[str, ...] = ()
    floor: str | None = None


@dataclass(frozen=True, slots=True)
class Toy:
    """An entity.

    Attributes:
        entity: Its id, of one of the domains of `toy_home`.
        name: What people call it.
        area: The area's name.
        aliases: Its other names.
        state: What it begins with.
        attributes: As Home Assistant shows them: `brightness`, `current_position`, `temperature`, …; and
            `available`, which is false for one that can't be reached.
        exposed: Whether assistants see it.
    """

    entity: str
    name: str
    area: str | None = None
    aliases: tuple[str, ...] = ()
    state: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)
    exposed: bool = True


@dataclass(frozen=True, slots=True)
class Home:
    """All that is in a home.

    Attributes:
        areas: Its rooms.
        toys: Its entities.
        satellites: The areas of devices that hear people, by the device's name.
        timers: Which of them have timers.
    """

    areas: tuple[Area, ...]
    toys: tuple[Toy, ...]
    satellites: Mapping[str, str] = field(default_factory=dict)
    timers: tuple[str, ...] = ()

    def json(self) -> str:
        """As the integration toy_home reads it."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


# What Home Assistant logs of a command to an entity that can't be reached.
AWAY = "are missing or not currently available"


def without(home: Home, *entities: str) -> Home:
    """Return a home in which these entities can't be reached."""
    return dataclasses.replace(
        home,
        toys=tuple(
            dataclasses.replace(toy, attributes={**toy.attributes, "available": toy.entity not in entities})
            for toy in home.toys
        ),
    )


def _lights(*areas: str) -> tuple[Toy, ...]:
    return tuple(
        Toy(f"light.{area.lower().replace(' ', '_')}", f"{area} light", area, state="off") for area in areas
    )


# As an ordinary one is: 20 entities.
ORDINARY = Home(
    areas=(
        Area("Kitchen", ("厨房",), "Ground floor"),
        Area("Living room", ("lounge", "客厅"), "Ground floor"),
        Area("Hall", (), "Ground floor"),
        Area("Bedroom", ("卧室",), "First floor"),
        Area("Bathroom", (), "First floor"),
        Area("Garage"),
    ),
    toys=(
        *_lights("Kitchen", "Living room", "Hall", "Bedroom", "Bathroom"),
        Toy("light.reading_lamp", "Reading lamp", "Living room", ("floor lamp",), "off"),
        Toy("switch.coffee_machine", "Coffee machine", "Kitchen", state="off"),
        Toy("switch.towel_rail", "Towel rail", "Bathroom", state="off"),
        Toy("cover.living_room_blinds", "Living room blinds", "Living room", ("shutters",), "open"),
        Toy("cover.bedroom_blinds", "Bedroom blinds", "Bedroom", state="open"),
        Toy(
            "cover.garage_door",
            "Garage door",
            "Garage",
            state="closed",
            attributes={"device_class": "garage"},
        ),
        Toy("climate.living_room", "Living room heating", "Living room", state="heat"),
        Toy("climate.bedroom", "Bedroom heating", "Bedroom", state="heat"),
        Toy("media_player.radio", "Kitchen radio", "Kitchen", state="playing"),
        Toy("fan.bathroom", "Bathroom fan", "Bathroom", state="off"),
        Toy("lock.front_door", "Front door", "Hall", state="locked"),
        Toy("vacuum.robot", "Robot", "Hall", state="docked"),
        Toy(
            "sensor.kitchen_temperature",
            "Kitchen temperature",
            "Kitchen",
            state="21.5",
            attributes={"device_class": "temperature", "unit_of_measurement": "°C"},
        ),
        Toy(
            "sensor.bedroom_humidity",
            "Bedroom humidity",
            "Bedroom",
            state="48",
            attributes={"device_class": "humidity", "unit_of_measurement": "%"},
        ),
        Toy(
            "binary_sensor.window",
            "Bathroom window",
            "Bathroom",
            state="off",
            attributes={"device_class": "window"},
        ),
    ),
    satellites={"Kitchen satellite": "Kitchen", "Bedroom satellite": "Bedroom"},
)
