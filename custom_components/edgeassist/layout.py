"""What comes first in a prompt, so that the box has read it already. Imports nothing of Home Assistant.

A box reads a hundred tokens in a second, and a home has thousands: names, areas, tools. It keeps what it has
read, and goes on from where a prompt differs from an earlier one. So all that is the same for every question
comes first, in one order: the system prompt without what is said of a satellite, and the tools, which most
templates put right behind it; those that only some satellites have are the last. What differs stands in front
of the user's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import datetime
from typing import Any, TypeVar

# Lines that Home Assistant writes of the satellite and not of the home (2026.2: helpers/llm.py, 2026.11:
# components/intent/llm.py). One that is not known here stays where it is, and costs time, nothing else.
_OF_SATELLITE = re.compile(
    r"You are in area .+ should target this area\."
    r"|When a user asks to turn on all devices of a specific type, .+"
    r"|This device is not able to start timers\."
)
# What Home Assistant says of the time where no tool tells it; it differs with every second.
_CLOCK = re.compile(r"Current time is \d\d:\d\d:\d\d\. Today's date is \d{4}-\d\d-\d\d\.")
# Tools that Home Assistant offers to satellites with timers only.
_OF_TIMERS = frozenset(
    f"Hass{name}Timer" for name in ("Start", "Cancel", "Increase", "Decrease", "Pause", "Unpause")
) | {"HassTimerStatus"}

# A small model prefers what it has read first, and invents names like it: so what is wanted most is first,
# and the tools of every home that hardly anybody wants are last.
_FIRST = ("HassTurnOn", "HassTurnOff", "HassLightSet", "HassSetPosition", "GetLiveContext")
_LAST = frozenset(("HassBroadcast", "HassCancelAllTimers"))

_Named = TypeVar("_Named")


class Layout:
    """A system prompt, taken apart.

    Attributes:
        system: What is the same for all satellites and all questions.
        place: What is said of this satellite and this conversation; belongs in front of its first question.
        has_clock: Whether the time belongs in front of every question.
    """

    def __init__(self, prompt: str, extra: str | None = None) -> None:
        """Take a system prompt apart.

        Args:
            prompt: As Home Assistant has put it together.
            extra: What of it, at its end, is said for this conversation alone.
        """
        if extra and prompt.endswith(extra):
            prompt = prompt[: -len(extra)]
        else:
            extra = None
        kept, of_satellite = [], []
        self.has_clock = False
        for line in prompt.split("\n"):
            if _CLOCK.fullmatch(line.strip()):
                self.has_clock = True
            elif _OF_SATELLITE.fullmatch(line.strip()):
                of_satellite.append(line.strip())
            else:
                kept.append(line.rstrip())
        self.system = "\n".join(kept).strip()
        self.place = "\n".join([*of_satellite, *([extra.strip()] if extra else [])])

    def before(self, *, first: bool, asked_at: datetime) -> str:
        """Return what stands in front of a question, with an empty line behind it.

        It depends on nothing but the conversation, so that the next question finds it as it was.

        Args:
            first: Whether it is the conversation's first.
            asked_at: When it was asked, in the home's time.
        """
        said = [self.place] if first and self.place else []
        if self.has_clock:
            said.append(asked_at.strftime("It is %H:%M on %A, %Y-%m-%d."))
        return "\n".join(said) + "\n\n" if said else ""


def in_order(tools: Iterable[_Named], name_of: Callable[[_Named], str]) -> list[_Named]:
    """Return tools in the order in which a box is told of them, those of some satellites last."""

    def place(tool: _Named) -> tuple[bool, bool, int, str]:
        name = name_of(tool)
        # `intent__HassStartTimer` since 2026.9, with more in front where several APIs have one of that name.
        own = name.rpartition("__")[2]
        first = _FIRST.index(own) if own in _FIRST else len(_FIRST)
        return own in _OF_TIMERS, own in _LAST, first, name

    return sorted(tools, key=place)


def without(parameters: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    """Return a tool's parameters without some that it does not require."""
    needless = names - set(parameters.get("required", ()))
    properties = parameters.get("properties", {})
    kept = {name: schema for name, schema in properties.items() if name not in needless}
    return {**parameters, "properties": kept}


def compact(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's parameters without what costs tokens and says nothing.

    That names which are not told of are no arguments holds without a word. `allOf`, as Home Assistant has it
    for a number that is checked twice, becomes one schema: some forms of calls can't write it otherwise.
    """
    schema = _compact(parameters)
    if schema.get("additionalProperties") is False:
        del schema["additionalProperties"]
    return schema


def _compact(schema: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, value in schema.items():
        match name, value:
            case "required" | "description" | "title", _ if not value:
                pass
            case "allOf", list() if (merged := _merged(value)) is not None:
                said |= merged
            case "enum", list() if all(isinstance(each, str) for each in value):
                # Some are sets in Home Assistant, and come in another order with each of its starts.
                said[name] = sorted(value)
            case "properties", Mapping():
                said[name] = {each: _under(inner) for each, inner in value.items()}
            case _:
                said[name] = _under(value)
    return said


def _merged(schemas: list[Any]) -> dict[str, Any] | None:
    """Return one schema for several that all hold; None where they don't say different things."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        if not isinstance(schema, Mapping):
            return None
        for name, value in _compact(schema).items():
            known = merged.get(name, value)
            if name == "type" and {known, value} == {"integer", "number"}:
                merged[name] = "integer"
            elif known == value:
                merged[name] = value
            else:
                return None
    return merged


def _under(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _compact(value)
    if isinstance(value, list):
        return [_under(each) for each in value]
    return value
