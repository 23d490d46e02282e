"""What a model means by place and kind is the one thing that fits, and nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.edgeassist.pointing import Pointing
from custom_components.edgeassist.tiny.home import Area, Home, Thing

HOME = Home(
    areas=(
        Area("backyard", "Backyard"),
        Area("garage", "Garage", ("车库",)),
        Area("entry", "Entry"),
        Area("living_room", "Living Room"),
        Area("terrace", "Rooftop Terrace"),
    ),
    things=(
        Thing("light.garden", ("Garden Light",), "backyard"),
        Thing("sensor.garden", ("Garden temperature",), "backyard"),
        Thing("cover.opener", ("Opener",), "garage", "garage"),
        Thing("lock.smart", ("Smart Lock",), "entry"),
        Thing("binary_sensor.smart", ("Smart Lock",), "entry"),
        Thing("vacuum.roborock", ("Roborock",), "living_room"),
        Thing("light.a", ("Lamp A",), "living_room"),
        Thing("light.b", ("Lamp B",), "living_room"),
        Thing("media_player.speakers", ("Outdoor Speakers",), "terrace", "speaker"),
        Thing("cover.curtain", ("Smart Curtain",), "living_room", "curtain"),
    ),
)


def mended(said: str = "do it", **arguments: Any) -> dict[str, Any]:
    return Pointing(HOME, said).mended(arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"name": "Backyard light", "area": "Backyard", "domain": ["light"]}, "Garden Light"),
        ({"name": "the_backyard_light"}, "Garden Light"),
        ({"name": "light", "area": "backyard"}, "Garden Light"),
        ({"name": "Backyard"}, "Garden Light"),
        ({"name": "entry_lock", "area": "entry", "domain": ["binary_sensor", "lock"]}, "Smart Lock"),
        ({"name": "vacuum", "area": "living room", "domain": ["vacuum"]}, "Roborock"),
        ({"name": "the vacuum cleaner in the Living Room"}, "Roborock"),
        ({"name": "garage door"}, "Opener"),
        ({"name": "backyardLight"}, "Garden Light"),
        ({"name": "living_room_curtains", "domain": ["cover"]}, "Smart Curtain"),
        ({"name": "living room smart curtain"}, "Smart Curtain"),
        ({"name": "media_player", "area": "Rooftop Terrace", "domain": ["media_player"]}, "Outdoor Speakers"),
        ({"name": "Rooftop Terrace music"}, "Outdoor Speakers"),
        ({"name": "garage", "domain": ["cover"]}, "Opener"),
    ],
)
def test_a_place_and_a_kind_are_the_one_thing_there(arguments: dict[str, Any], name: str) -> None:
    assert mended(**arguments)["name"] == name


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "Lamp A"},
        {"name": "living room light"},
        {"name": "living room fan"},
        {"name": "Backyard light", "area": "Garage"},
        {"name": "garage", "domain": ["light"]},
        {"name": "vacuum"},
        {"name": "Backyard disco ball"},
        {"name": "", "area": "Backyard"},
        {"name": 5},
        {"area": "Backyard"},
    ],
)
def test_nothing_is_guessed(arguments: dict[str, Any]) -> None:
    assert mended(**arguments) == arguments


@pytest.mark.parametrize(
    ("said", "moves"),
    [
        ("open the garage", True),
        ("Öffne die Garage", True),
        ("打开车库", True),
        ("turn on the garage", False),
        ("Garage an", False),
    ],
)
def test_a_door_does_not_move_because_its_room_is_named(said: str, *, moves: bool) -> None:
    assert mended(said, name="garage", area="Garage")["name"] == ("Opener" if moves else "garage")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"name": "Outdoor Speakers", "device_class": ["tv", "projector"]}, {"name": "Outdoor Speakers"}),
        (
            {"name": "Outdoor Speakers", "device_class": ["tv", "speaker"], "domain": ["media_player"]},
            {"name": "Outdoor Speakers", "device_class": ["tv", "speaker"], "domain": ["media_player"]},
        ),
        ({"name": "Lamp A", "domain": ["switch"]}, {"name": "Lamp A"}),
        # "Turn on the light at the opener" opens nothing.
        ({"name": "Opener", "domain": ["light"]}, {"name": "Opener", "domain": ["light"]}),
    ],
)
def test_what_excludes_the_one_that_is_named_is_left_out(given: dict[str, Any], kept: dict[str, Any]) -> None:
    assert mended(**given) == kept


@pytest.mark.parametrize("name", ["garage", "garage door", "Garage Door Opener"])
def test_what_opens_is_told_from_its_light_by_the_words(name: str) -> None:
    opener = "Garage Door Opener"
    home = Home(
        areas=(Area("garage", "Garage"),),
        things=(
            Thing("cover.opener", (opener,), "garage", "garage"),
            Thing("light.opener", (opener,), "garage"),
        ),
    )
    wanted = {"name": opener, "area": "garage", "domain": ["cover"]}
    given = {"name": name, "area": "garage"}
    assert Pointing(home, "close the garage door").mended(given) == wanted
    assert Pointing(home, "garage on").mended({"name": "garage"}) == {"name": "garage"}


def test_a_thing_and_its_sensor_of_one_name_are_told_apart() -> None:
    assert mended(name="Smart Lock", area="Entry") == {
        "name": "Smart Lock",
        "area": "Entry",
        "domain": ["lock"],
    }


@given(
    st.dictionaries(st.sampled_from(["name", "area", "domain"]), st.text() | st.none() | st.lists(st.text()))
)
def test_no_arguments_break_it(arguments: dict[str, Any]) -> None:
    assert set(mended(**arguments)) <= set(arguments)
