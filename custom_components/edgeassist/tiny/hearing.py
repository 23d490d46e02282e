"""Prepares what somebody said for the model: names of this home become words that it was trained with.

"Dim mum's reading lamp in the den to 30" becomes "dim the light to 30", and what was named is kept beside it.
A room is left out of a command, since where it happens is known without the model, and is "kitchen" in a
question.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from . import asking, naming, words
from .home import Home, Place, Thing
from .words import HAN, Language

# The most characters that are looked at; a command is short.
LONGEST = 200
# As many commands may a sentence have.
MOST_PARTS = 3
# Moved only in Home Assistant's own sentences, which match what is said exactly.
_BARRED = ("garage", "gate", "door", "window")
_BETWEEN = re.compile(r",? and then |,? then |,? and |，?然后再?|，?并且?|，")
_VERB = re.compile(
    r"\b(?:turn|switch|set|dim|open|close|start|stop|make|put|shut|lower|raise|change)\b|[开关调停设打拉]"
)


class Why(StrEnum):
    """Why what was said is not done by this agent."""

    LANGUAGE = "language"  # neither English nor Chinese
    OTHER = "other"  # nothing that the model was trained for
    SEVERAL = "several"  # more than one command
    UNSURE = "unsure"  # the model's answer is not what the words say
    EXACT = "exact"  # locks, doors, scenes: only ever in Home Assistant's own sentences


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said, prepared.

    Attributes:
        said: The words, in one case and script.
        language: Which.
        text: What the model is asked.
        left: The words without the names.
        question: Whether it is put as a question.
        place: The place that was named, if any.
        things: The things of the name that was said; several if they share it.
        why: Why the model is not asked; None if it is.
    """

    said: str
    language: Language
    text: str = ""
    left: str = ""
    question: bool = False
    place: Place | None = None
    things: tuple[Thing, ...] = ()
    why: Why | None = None


def hear(text: str, language: str, home: Home) -> Heard:
    """Prepare what was said.

    Args:
        text: What was said.
        language: The conversation's, as `en-GB`; Chinese script is Chinese in any.
        home: Whose names to look for.
    """
    if len(text) > LONGEST:
        return Heard("", "zh" if HAN.search(text) else "en", why=Why.OTHER)
    said = naming.plain(text)
    mentions = naming.mentions(said, home)
    places = [mention for mention in mentions if mention.place]
    named = [mention for mention in mentions if mention.things]
    left = naming.replaced(said, [(mention, " ") for mention in mentions])
    # A name may be in another language than the sentence.
    spoken: Language = "zh" if HAN.search(left if left.strip() else said) else "en"
    if not said or (spoken == "en" and not language.lower().startswith(("en", "zh"))):
        return Heard(said, spoken, why=Why.LANGUAGE)
    question = bool(words.QUESTION[spoken].search(said)) or (
        text.rstrip().endswith(("?", "？")) and not words.POLITE[spoken].search(said)
    )
    heard = Heard(
        said,
        spoken,
        left=left,
        question=question,
        place=places[0].place if places else None,
        things=named[0].things if named else (),
    )
    why = _not_asked(heard, len(places), len(named))
    if why:
        return replace(heard, why=why)
    if question:
        return replace(heard, text=asking.in_question(said, left, places, named, spoken))
    return replace(heard, text=asking.in_command(said, places, named, spoken))


def parts(text: str) -> list[str]:
    """Return the commands of a sentence with several, or the sentence alone."""
    said = naming.plain(text)
    cut = _BETWEEN.split(said)
    return cut if 1 < len(cut) <= MOST_PARTS and all(_VERB.search(part) for part in cut) else [said]


def _not_asked(heard: Heard, places: int, named: int) -> Why | None:
    if words.OTHERS[heard.language].search(heard.left):
        return Why.OTHER
    if places > 1 or named > 1:
        return Why.SEVERAL
    if heard.question:
        return None
    if any(_is_barred(thing) for thing in heard.things):
        return Why.EXACT
    return Why.SEVERAL if re.search(r"\band\b|然后|并且|以及", heard.left) else None


def _is_barred(thing: Thing) -> bool:
    return not asking.is_known(thing) or (thing.domain == "cover" and thing.device_class in _BARRED)
