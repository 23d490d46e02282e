"""Homes, and what is said in them: what EdgeAssist Tiny should make of it as Home Assistant's agent.

`cases.jsonl` is what the agent was made with. `held_out.jsonl` was written when the agent was done, and asked
once: 82 of its 94 were right then; two commands did something else, which was mended since.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import component

component.install()

from custom_components.edgeassist.tiny import turn  # noqa: E402
from custom_components.edgeassist.tiny.home import Area, Floor, Home, Thing  # noqa: E402
from custom_components.edgeassist.tiny.intents import Missing, Plan  # noqa: E402
from custom_components.edgeassist.tiny.judging import Talk  # noqa: E402
from custom_components.edgeassist.tiny.turn import Outcome, Told  # noqa: E402

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """Something that is said.

    Attributes:
        kind: What sort of thing it is.
        said: The words.
        expect: What should come of it, as `outcome` writes it.
        home: The name of the home.
        language: The conversation's.
        here: The area in which it is said.
    """

    kind: str
    said: str
    expect: list[str]
    home: str
    language: str
    here: str | None = None


def cases(name: str) -> list[Case]:
    """Return the cases of a file."""
    lines = (_HERE / name).read_text(encoding="utf-8").splitlines()
    return [Case(**json.loads(line)) for line in lines]


def home(name: str) -> Home:
    """Return a home of homes.json."""
    parts = json.loads((_HERE / "homes.json").read_text(encoding="utf-8"))[name]

    def made(kind: str, cls: Any) -> tuple[Any, ...]:
        return tuple(
            cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in each.items()})
            for each in parts[kind]
        )

    return Home(made("areas", Area), made("floors", Floor), made("things", Thing))


async def outcome(case: Case, ask: Callable[[dict[str, Any]], Awaitable[str]]) -> list[str]:
    """Return what comes of a case, with the model's answers.

    Args:
        case: What is said.
        ask: Gives the model's answer to the fields of a prompt.
    """
    where = home(case.home)
    said: list[str] = []
    for question in turn.begin(case.said, case.language, where, case.here):
        if question.settled:
            said += written(question.settled)
            continue
        if question.heard.why:
            return ["handed on"]
        said += written(turn.end(question, await ask(question.request), where, case.here))
    return ["handed on"] if "handed on" in said else said


def written(result: Outcome) -> list[str]:
    """Return an outcome in words: an intent with its slots, a reading, what lacks."""
    match result:
        case Plan():
            return [
                " ".join([call.intent, *(f"{key}={_plain(value)}" for key, value in call.slots.items())])
                for call in result.calls
            ]
        case Missing():
            return [f"lacks {result.lacks}"]
        case Told():
            things = [reading.thing.entity_id for reading in result.readings]
            return [f"reading {result.quantity} {' '.join(things)}" if things else "no reading"]
        case Talk():
            return ["talk"]
    return ["handed on"]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
