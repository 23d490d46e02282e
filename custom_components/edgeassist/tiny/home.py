"""A home as plain values: what is exposed to the assistant, where it is, and what it is called.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .rooms import translations

READ_ONLY = ("sensor", "binary_sensor")


@dataclass(frozen=True, slots=True)
class Floor:
    """A floor of Home Assistant's registry."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Area:
    """An area of Home Assistant's registry."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    floor_id: str | None = None


@dataclass(frozen=True, slots=True)
class Thing:
    """An exposed entity.

    Attributes:
        entity_id: Home Assistant's.
        names: What it is called: the name that is shown first, then aliases. Never empty.
        area_id: Its area, or its device's.
        device_class: Home Assistant's, for instance `curtain`.
        state: Home Assistant's.
        attributes: Those of its state.
    """

    entity_id: str
    names: tuple[str, ...]
    area_id: str | None = None
    device_class: str | None = None
    state: str = "unknown"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that is shown."""
        return self.names[0]

    @property
    def domain(self) -> str:
        """The first part of the entity id."""
        return self.entity_id.partition(".")[0]

    def number(self, attribute: str) -> float | None:
        """Return an attribute that is a number; None if it is missing or none."""
        value = self.attributes.get(attribute)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is to happen: one or several areas, as somebody named them; no areas for everywhere."""

    name: str
    areas: tuple[Area, ...]
    floor: Floor | None = None

    @property
    def ids(self) -> frozenset[str]:
        """The ids of its areas."""
        return frozenset(area.id for area in self.areas)


@dataclass(frozen=True, slots=True)
class Home:
    """What is exposed to the assistant."""

    areas: tuple[Area, ...] = ()
    floors: tuple[Floor, ...] = ()
    things: tuple[Thing, ...] = ()

    def area(self, area_id: str | None) -> Area | None:
        """Return the area of that id, None if there is none."""
        return next((area for area in self.areas if area.id == area_id), None)

    def on_floor(self, floor: Floor) -> Place:
        """Return a floor as a place."""
        return Place(floor.name, tuple(area for area in self.areas if area.floor_id == floor.id), floor)

    def inside(self, place: Place | None) -> tuple[Thing, ...]:
        """Return the things of a place; all where it is None."""
        if place is None:
            return self.things
        return tuple(thing for thing in self.things if thing.area_id in place.ids)

    def places(self) -> Iterable[tuple[str, Place]]:
        """Yield what a place may be called, with the place.

        An area answers to its name, its aliases, and to what a room of that name is called in other
        languages, unless another area or floor has that name itself.
        """
        own: set[str] = set()
        for floor in self.floors:
            for name in (floor.name, *floor.aliases):
                own.add(name.casefold())
                yield name, self.on_floor(floor)
        for area in self.areas:
            for name in (area.name, *area.aliases):
                own.add(name.casefold())
                yield name, Place(area.name, (area,))
        for area in self.areas:
            for name in translations(area.name, *area.aliases):
                if name not in own:
                    yield name, Place(area.name, (area,))

    def called(self) -> Iterable[tuple[str, Thing]]:
        """Yield what a thing may be called, with the thing: its names, also without that of its area."""
        for thing in self.things:
            area = self.area(thing.area_id)
            for name in thing.names:
                yield name, thing
                short = _without(area.name, name) if area and thing.domain not in READ_ONLY else ""
                if short:
                    yield short, thing


def _without(area: str, name: str) -> str:
    """Return "ceiling light" of "Kitchen ceiling light", and "" where nothing much is left."""
    if not name.casefold().startswith(area.casefold()):
        return ""
    short = name[len(area) :].strip(" -_.,:的")
    return short if len(short) > 1 else ""
