"""A model's spelling of names becomes the home's; what is no name of the home stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.edgeassist.spelling import Spelling

HOME = Spelling(
    {
        "light.living_room": ("Living Room Light", "big light"),
        "light.the_end": ("The End",),
        "cover.hall": ("Hall blind",),
        "light.hall": ("hall-light",),
    },
    areas=("Living Room", "lounge", "客厅", "Hall"),
    floors=("Ground floor",),
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("living_room_light", "Living Room Light"),
        ("the living-room light", "Living Room Light"),
        ("light.living_room", "Living Room Light"),
        ("living_room", "Living Room Light"),
        ("LIVING ROOM LIGHT", "LIVING ROOM LIGHT"),
        ("Big_Light", "big light"),
        ("hall light", "hall-light"),
        ("hall", "Hall blind"),
        ("the end", "the end"),
        ("end", "The End"),
        ("cover.hall", "Hall blind"),
        ("kitchen light", "kitchen light"),
        ("living room", "Living Room Light"),
        ("___", "___"),
        ("", ""),
    ],
)
def test_a_name_is_the_homes(written: str, meant: str) -> None:
    assert HOME.mended({"name": written, "brightness": 30}) == {"name": meant, "brightness": 30}


@pytest.mark.parametrize(
    ("arguments", "mended"),
    [
        ({"area": "living_room"}, {"area": "Living Room"}),
        ({"area": "The Lounge", "domain": ["light"]}, {"area": "lounge", "domain": ["light"]}),
        ({"area": "客厅"}, {"area": "客厅"}),
        ({"area": "attic", "domain": ["light"]}, {"area": "attic", "domain": ["light"]}),
        ({"name": "Hall blind", "area": "cover"}, {"name": "Hall blind"}),
        ({"name": "Hall blind", "area": "Living Room"}, {"name": "Hall blind", "area": "Living Room"}),
        ({"name": "attic", "area": "attic"}, {"name": "attic", "area": "attic"}),
        ({"area": "Hall", "floor": "Hall"}, {"area": "Hall"}),
        ({"floor": "ground_floor"}, {"floor": "Ground floor"}),
        ({"name": ["Hall blind"], "area": None}, {"name": ["Hall blind"], "area": None}),
        ({}, {}),
    ],
)
def test_places_are_the_homes_and_one_that_is_none_does_not_hide_a_thing(
    arguments: dict[str, Any], mended: dict[str, Any]
) -> None:
    assert HOME.mended(arguments) == mended


@given(st.dictionaries(st.sampled_from(["name", "area", "floor", "item"]), st.text() | st.none()))
def test_spelling_again_changes_nothing(arguments: dict[str, Any]) -> None:
    once = HOME.mended(arguments)
    assert HOME.mended(once) == once
    assert once.get("item") == arguments.get("item")
