"""One turn: what the model is asked for what somebody said, and what its answer comes to. It does no I/O.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .exact import exactly
from .hearing import Heard, Why, hear, parts
from .home import Home, Place
from .intents import Lacks, Missing, Plan, plan
from .judging import Action, Talk, judge
from .readings import Reading, readings_of, system_prompt

# 80 tokens are enough for every answer that the model was trained for.
MAX_TOKENS = 80


@dataclass(frozen=True, slots=True)
class Question:
    """What the model is asked.

    Attributes:
        heard: What was said.
        readings: What it may be asked for.
        place: Where.
        settled: What is to be done without asking; None if it is asked.
    """

    heard: Heard
    readings: tuple[Reading, ...] = ()
    place: Place | None = None
    settled: Plan | None = None

    @property
    def request(self) -> dict[str, Any]:
        """The fields of the prompt for the box."""
        return {
            "prompt": self.heard.text,
            "system": system_prompt(self.readings, self.heard.language),
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
        }


@dataclass(frozen=True, slots=True)
class Told:
    """What was asked for.

    Attributes:
        quantity: By the model's English name.
        readings: What is known of it; none if there is no sensor.
        place: Where.
        heard: What was said.
    """

    quantity: str
    readings: tuple[Reading, ...]
    place: Place | None
    heard: Heard


Outcome = Plan | Missing | Told | Talk | Why


def begin(text: str, language: str, home: Home, here: str | None) -> list[Question]:
    """Return what the model is asked: one question, or one for each command of a sentence.

    Args:
        text: What was said.
        language: The conversation's.
        home: What is exposed.
        here: The id of the area in which it was said; None if that is not known.
    """
    heard = hear(text, language, home)
    if heard.why is Why.SEVERAL:
        each = [hear(part, language, home) for part in parts(text)]
        if len(each) > 1 and not any(part.why or part.question for part in each):
            return [_question(part, home, here) for part in each]
    return [_question(heard, home, here)]


def end(question: Question, answer: str, home: Home, here: str | None) -> Outcome:
    """Return what an answer comes to.

    Args:
        question: What was asked.
        answer: The model's.
        home: What is exposed.
        here: As for `begin`.
    """
    judged = judge(answer, question.heard)
    if isinstance(judged, Action):
        return plan(judged, question.heard, home, here)
    if isinstance(judged, Talk | Why):
        return judged
    known = tuple(reading for reading in question.readings if reading.quantity == judged.quantity)
    if question.place is None and not question.heard.things and len(known) != 1:
        return Missing(Lacks.PLACE, judged.quantity)
    return Told(judged.quantity, known, question.place, question.heard)


def _question(heard: Heard, home: Home, here: str | None) -> Question:
    if settled := exactly(heard, home):
        return Question(heard, place=heard.place, settled=settled)
    if heard.why or not heard.question:
        return Question(heard)
    readings, place = readings_of(heard, home, here)
    if heard.place is None and place:
        heard = replace(heard, place=place)
    return Question(heard, readings, place)
