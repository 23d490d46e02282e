"""What a client asks, and what the right answer is. Sans-I/O: all of it follows from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

# What the scripted backend calls a token has four bytes of UTF-8, and is answered this many at most.
TOKEN_BYTES = 4
ROOMS = ("kitchen", "bath", "hall")
# A system prompt of this size is encoded by a thread of its own (over 8,192 characters).
_LONG_WORDS = 1800


class Kind(StrEnum):
    """What a request is of."""

    ECHO = "echo"
    STREAM = "stream"
    WHOLE = "whole"
    TEXT = "text"
    SHORT = "short"
    LONG = "long"
    SESSION = "session"
    DECISION = "decision"
    CANCEL = "cancel"
    DEADLINE = "deadline"
    RERUN = "rerun"


# How often each is asked.
_WEIGHTS = {
    Kind.ECHO: 3,
    Kind.STREAM: 6,
    Kind.WHOLE: 2,
    Kind.TEXT: 2,
    Kind.SHORT: 1,
    Kind.LONG: 1,
    Kind.SESSION: 3,
    Kind.DECISION: 2,
    Kind.CANCEL: 1,
    Kind.DEADLINE: 1,
    Kind.RERUN: 2,
}
# Codes that a request of this kind may end with although nothing has failed.
_MEANT = {Kind.CANCEL: frozenset({"cancelled"}), Kind.DEADLINE: frozenset({"deadline_exceeded"})}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request with its right answer.

    Attributes:
        id: Unique in a campaign.
        text: The answer's text; None for a decision.
        pick: The room that a decision picks.
        cancel_after_s: When the client cancels it; None: never.
    """

    id: str
    kind: Kind
    fields: dict[str, Any]
    text: str | None = None
    pick: str | None = None
    cancel_after_s: float | None = None

    @property
    def decides(self) -> bool:
        """Whether it goes to the topic for decisions."""
        return self.kind is Kind.DECISION

    @property
    def bare(self) -> bool:
        """Whether its answer's payloads are the text alone."""
        return self.kind is Kind.TEXT

    @property
    def streams(self) -> bool:
        """Whether `accepted` and chunks come before the end."""
        return self.kind not in {Kind.WHOLE, Kind.DECISION}

    @property
    def meant(self) -> frozenset[str]:
        """Codes that it may end with although nothing has failed."""
        return _MEANT.get(self.kind, frozenset())

    @property
    def reruns(self) -> bool:
        """Whether it asked to be run again after a crash."""
        return self.kind is Kind.RERUN


def ask(seed: int, client: str, number: int, *, reruns: bool) -> Ask:
    """Return the request that a client makes at that place.

    Args:
        seed: The campaign's.
        client: Its name; part of the id.
        number: From 0.
        reruns: Whether this version knows the field `on_crash`.
    """
    random = Random(f"{seed}/{client}/{number}")
    request = f"{client}-{number}"
    kind = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    fields: dict[str, Any] = {"id": request}
    if random.random() < 0.3:
        fields["priority"] = random.choice(["low", "high"])
    if kind is Kind.DECISION:
        return _decision(request, fields, random)
    text = words(random, random.randint(4, 30))
    # A step of several slots takes the sum of their delays.
    delay_ms = 0 if kind is Kind.ECHO else random.choice([2, 5, 10])
    cancel_after_s = None
    if kind in {Kind.CANCEL, Kind.DEADLINE}:
        text = words(random, 200)
    if kind is Kind.CANCEL:
        cancel_after_s = random.choice([0.0, 0.3, 1.0])
    if kind is not Kind.RERUN or reruns:
        fields |= _more(kind, number, random)
    fields["prompt"] = f"!script delay_ms={delay_ms}\n{text}" if delay_ms else text
    return Ask(request, kind, fields, text, cancel_after_s=cancel_after_s)


def _more(kind: Kind, number: int, random: Random) -> dict[str, Any]:
    """Return the fields that make a prompt one of its kind."""
    if kind is Kind.LONG:
        return {"system": words(random, _LONG_WORDS)}
    if kind is Kind.DEADLINE:
        return {"timeout_s": random.choice([0.5, 2.0])}
    always: dict[Kind, dict[str, Any]] = {
        Kind.WHOLE: {"stream": False},
        Kind.TEXT: {"format": "text"},
        Kind.SHORT: {"end": "short"},
        Kind.SESSION: {"session": f"s{number // 10}"},
        Kind.RERUN: {"on_crash": "rerun"},
    }
    return always.get(kind, {})


def probe(number: int) -> Ask:
    """Return a prompt that shows whether the device answers: it goes before all others."""
    request = f"probe-{number}"
    text = f"{request} are you there"
    return Ask(request, Kind.ECHO, {"id": request, "prompt": text, "priority": "high"}, text)


def words(random: Random, count: int) -> str:
    """Return a text that repeats nothing, so that no draft speeds it up, with letters of several bytes."""
    return " ".join(
        ("灯" if random.random() < 0.1 else "") + str(random.randrange(10_000, 99_999)) for _ in range(count)
    )


def _decision(request: str, fields: dict[str, Any], random: Random) -> Ask:
    """A question whose answer is the room that the state names most often."""
    pick = random.choice(ROOMS)
    fields |= {
        "state": f"The {pick} calls: light in the {pick} ({words(random, 3)})",
        "questions": {
            "room": {"type": "choice", "instructions": "Which one is meant?", "criteria": list(ROOMS)}
        },
    }
    return Ask(request, Kind.DECISION, fields, pick=pick)
