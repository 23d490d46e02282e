"""What is said to agents that are compared, and what is right then."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from tests.home_assistant.toys import ORDINARY

KITCHEN, BEDROOM = "Kitchen satellite", "Bedroom satellite"


class Kind(StrEnum):
    """What is wanted with a sentence."""

    COMMAND = "commands"
    QUESTION = "questions about the home"
    TALK = "talk"


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is said, to which satellite, and what is right.

    Attributes:
        said: The words.
        satellite: Who hears them; None: they are typed.
        before: Actions with their entities, that make it worth doing.
        shows: The entity that changes, and its state then.
        told: Of a question, a regular expression of right answers.
    """

    said: str
    satellite: str | None = None
    before: tuple[tuple[str, ...], ...] = ()
    shows: tuple[str, str] | None = None
    told: str = ""

    @property
    def kind(self) -> Kind:
        """What is wanted."""
        return Kind.COMMAND if self.shows else Kind.QUESTION if self.told else Kind.TALK


def _command(said: str, undo: str, entity: str, state: str, satellite: str | None = None) -> Sentence:
    return Sentence(said, satellite, ((undo, entity),), (entity, state))


_LIGHTS = tuple(toy.entity for toy in ORDINARY.toys if toy.entity.startswith("light."))
SENTENCES = (
    _command("Turn on the kitchen light", "light.turn_off", "light.kitchen", "on"),
    Sentence("What is the temperature in the kitchen?", told=r"21[.,]5"),
    _command("Turn off the bedroom light", "light.turn_on", "light.bedroom", "off"),
    _command("Turn on the reading lamp", "light.turn_off", "light.reading_lamp", "on", KITCHEN),
    _command("Close the living room blinds", "cover.open_cover", "cover.living_room_blinds", "closed"),
    Sentence("Is the bathroom window open?", BEDROOM, told=r"(?i)\b(?:no|not|isn't|closed)\b"),
    _command("Turn on the coffee machine", "switch.turn_off", "switch.coffee_machine", "on", KITCHEN),
    _command("Open the garage door", "cover.close_cover", "cover.garage_door", "open"),
    _command("Turn on the hall light", "light.turn_off", "light.hall", "on", BEDROOM),
    Sentence("What can you do for me?"),
    _command("Turn on the bathroom fan", "fan.turn_off", "fan.bathroom", "on"),
    _command("Turn off the kitchen light", "light.turn_on", "light.kitchen", "off", KITCHEN),
    _command("Pause the kitchen radio", "media_player.media_play", "media_player.radio", "paused"),
    Sentence(
        "Which lights are on?",
        before=(("light.turn_off", *_LIGHTS), ("light.turn_on", "light.hall")),
        told=r"(?i)^(?!.*(?:kitchen|bath|bed|reading|living)).*\bhall\b",
    ),
    _command("Turn on the towel rail", "switch.turn_off", "switch.towel_rail", "on", BEDROOM),
    _command("Turn off the reading lamp", "light.turn_on", "light.reading_lamp", "off"),
    _command("Close the bedroom blinds", "cover.open_cover", "cover.bedroom_blinds", "closed", BEDROOM),
    Sentence("Thank you, that is all."),
    _command("Turn on the living room light", "light.turn_off", "light.living_room", "on"),
    _command("Turn off the bathroom light", "light.turn_on", "light.bathroom", "off", KITCHEN),
)
# What a call or its result looks like that is spoken.
_CODE = re.compile(r"[{}<>`\[\]]|\w__\w")


def is_right(sentence: Sentence, changed: Set[str], states: Mapping[str, str], words: str) -> bool:
    """Whether what came of a sentence is what was wanted."""
    if not words.strip() or _CODE.search(words):
        return False
    if sentence.shows is None:
        return not changed and re.search(sentence.told, words, re.DOTALL) is not None
    entity, state = sentence.shows
    return changed == {entity} and states[entity] == state
