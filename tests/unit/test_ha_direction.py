"""What the words say counts where a model takes opening for closing."""

from __future__ import annotations

import pytest

from custom_components.edgeassist.direction import intent_of

ON, OFF = "HassTurnOn", "HassTurnOff"


@pytest.mark.parametrize(
    ("said", "domain", "intent"),
    [
        ("Unlock the front door", "lock", OFF),
        ("lock the front door", "lock", ON),
        ("Schließ die Haustür ab", "lock", ON),
        ("Schließe die Haustür auf", "lock", OFF),
        ("锁上大门", "lock", ON),
        ("请把大门锁好", "lock", ON),
        ("解锁大门", "lock", OFF),
        ("把车库门打开", "cover", ON),
        ("open the garage", "cover", ON),
        ("Please close the blinds", "cover", OFF),
        ("Mach das Garagentor zu", "cover", OFF),
        ("Öffne die Rollläden", "cover", ON),
        ("关上窗帘", "cover", OFF),
        ("shut the valve", "valve", OFF),
        ("Can you close the blinds, please?", "cover", OFF),
        ("open the lock", "lock", None),
        ("the front door is unlocked", "lock", None),
        ("front door unlocked", "lock", None),
        ("the garage is still open", "cover", None),
        ("don't open the garage", "cover", None),
        ("Close not the blinds", "cover", None),
        ("Is the garage open?", "cover", None),
        ("lock", "cover", None),
        ("门开着", "cover", None),
        ("大门没锁", "lock", None),
        ("", "lock", None),
        ("close the blinds and open the garage", "cover", None),
        ("unlock the door, then lock it again", "lock", None),
        ("close the blinds", "light", None),
        ("turn on the garage", "cover", None),
        ("blinds to 50 percent", "cover", None),
    ],
)
def test_the_words_say_which_way(said: str, domain: str, intent: str | None) -> None:
    assert intent_of(said, domain) == intent
