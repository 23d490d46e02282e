"""Holds the model's answer against the words: what they do not say is not done, however sure it sounds.

A model of four million parameters takes "pause the music" for a volume of 10, "movie night" for a speaker. So
each part of an action needs its words (the device, the value, the direction), and no word may be left over.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from . import words
from .asking import ROOM
from .hearing import Heard, Why
from .quantities import quantity_of
from .words import Language

EVERYWHERE = "all"
FULL = 100.0
ACTIONS = ("turn_on", "turn_off", "open", "close", "lock", "unlock", "set", "increase", "decrease")
PROPERTIES = (None, "brightness", "temperature", "speed", "position", "volume", "humidity", "color")
# Words for one of these are words for the other.
_ALIKE = (
    {"heating", "air_conditioner"},
    {"blinds", "curtains"},
    {"tv", "speaker"},
    {"humidifier", "dehumidifier"},
    {"window", "blinds"},
)
# Named by what is said of them: "set the temperature to 21", 调到26度.
_IMPLIED: dict[str, dict[Language, str]] = {
    "heating": {"en": r"temperature|degrees?|warm\w*|cool\w*|cold\w*|hott?er", "zh": "温度|度|暖|热|凉|冷"},
    "air_conditioner": {
        "en": r"temperature|degrees?|warm\w*|cool\w*|cold\w*|hott?er",
        "zh": "温度|度|暖|热|凉|冷",
    },
    "light": {"en": r"bright\w*|dark\w*|light\w*", "zh": "亮|暗"},
    "speaker": {"en": r"loud\w*|quiet\w*", "zh": "大声|小声|响"},
}
_SHARES: dict[Language, tuple[tuple[str, float], ...]] = {
    "en": (
        (r"half(?:way)?", 50),
        (r"quarter", 25),
        (r"full(?:y)?|max(?:imum)?|highest|brightest", 100),
        (r"min(?:imum)?|lowest|darkest", 1),
    ),
    "zh": (("一半|半", 50), ("最亮|最大|最高", 100), ("最暗|最小|最低", 1)),
}


@dataclass(frozen=True, slots=True)
class Action:
    """What the model made of a command, as its schema has it."""

    action: str
    device: str
    everywhere: bool = False
    property: str | None = None
    value: float | str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model was asked for: a quantity of the place, by its English name."""

    quantity: str


@dataclass(frozen=True, slots=True)
class Talk:
    """What is to be said as the model said it."""

    text: str


def judge(answer: str, heard: Heard) -> Action | Asked | Talk | Why:
    """Return what an answer means, or why nothing is to be done about it.

    Args:
        answer: The model's.
        heard: What it was asked.
    """
    answer = answer.strip()
    if answer.startswith("{"):
        action = _action(answer)
        if action is None or (heard.question and not words.POLITE[heard.language].search(heard.said)):
            return Why.UNSURE
        action = _corrected(action, heard)
        return action if _grounded(action, heard) else Why.UNSURE
    if answer in words.SMALL_TALK:
        return Talk(answer) if words.GREETING[heard.language].search(heard.said) else Why.UNSURE
    quantity = _quantity(answer, heard.language)
    return Asked(quantity) if quantity in asked_for(heard) else Why.OTHER


def asked_for(heard: Heard) -> set[str]:
    """Return the quantities that the words of a question speak of."""
    if not heard.question:
        return set()
    said = words.asked_for(heard.left, heard.language)
    return said | {quantity for thing in heard.things if (quantity := quantity_of(thing))}


def _action(answer: str) -> Action | None:
    """Return an answer as an action; None if it is none of the model's schema."""
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    name, device, measured, value = (said.get(key) for key in ("action", "device", "property", "value"))
    known = isinstance(device, str) and device in words.DEVICES and name in ACTIONS and measured in PROPERTIES
    if not known or isinstance(value, bool) or not isinstance(value, int | float | str | None):
        return None
    if name == "set" and (value is None or isinstance(value, str) != (measured == "color")):
        return None
    return Action(str(name), str(device), said.get("room") == EVERYWHERE, measured, value)


def _grounded(action: Action, heard: Heard) -> bool:
    language = heard.language
    left = words.POLITE[language].sub(" ", heard.left)
    if words.unknown(left, language):
        return False
    kinds = words.devices(left, language)
    wanted = {action.device}.union(*(alike for alike in _ALIKE if action.device in alike))
    implied = _IMPLIED.get(action.device)
    if heard.things:
        wanted |= kinds  # the name that was said stands for a device of its own kind
    elif not kinds and not (implied and words.find(implied[language], left, language)):
        return False
    if kinds - wanted or (action.everywhere and not words.find(words.ALL[language], left, language)):
        return False
    return _has_value(action, left, language) and _says(action.action, left, language)


def _has_value(action: Action, left: str, language: Language) -> bool:
    """Whether the words have an action's value, and none where it has none."""
    if isinstance(action.value, str):
        color = words.COLORS.get(action.value)
        return color is not None and bool(words.find(color[language], left, language))
    if action.value is None:
        return not re.search(r"\d", left)
    return float(action.value) in numbers(left, language)


def _says(action: str, left: str, language: Language) -> bool:
    """Whether the words say an action rather than its opposite."""
    opposite = words.OPPOSITE.get(action)
    if opposite is None:
        return True
    return bool(words.find(words.SAYS[action][language], left, language)) or not words.find(
        words.SAYS[opposite][language], left, language
    )


def _corrected(action: Action, heard: Heard) -> Action:
    """Return the action with what its words decide without a model."""
    if action.device == "vacuum" and action.action in ("turn_on", "turn_off", "open", "close"):
        home = {"en": "home|dock|back|base|charg\\w+|off|stop", "zh": "充电|回|停|关"}
        off = words.find(home[heard.language], heard.left, heard.language)
        return Action("turn_off" if off else "turn_on", "vacuum", action.everywhere)
    if action.device == "light" and action.action in ("open", "close"):
        return Action({"open": "turn_on", "close": "turn_off"}[action.action], "light", action.everywhere)
    if (
        action.device in ("blinds", "curtains")
        and action.action in ("increase", "decrease")
        and action.value is None
    ):
        slightly = {"en": "bit|little|some|slightly|more|less", "zh": "点|些"}
        if not words.find(slightly[heard.language], heard.left, heard.language):
            return replace(action, action="open" if action.action == "increase" else "close", property=None)
    most = next(pattern for pattern, value in _SHARES[heard.language] if value == FULL)
    if action.property and action.action == "increase" and words.find(most, heard.left, heard.language):
        return replace(action, action="set", value=FULL)
    return action


def _quantity(answer: str, language: Language) -> str | None:
    """Return what an answer is about: "The kitchen co2? I don't know, …" is about co2."""
    for name, called in words.QUANTITIES.items():
        if language == "en" and re.match(rf"The {ROOM['en']} {called['en'][0]}(?: is |\?)", answer):
            return name
        if language == "zh" and re.match(rf"{ROOM['zh']}{called['zh'][0]}(?:是|现在|我不知道)", answer):
            return name
    return None


def numbers(text: str, language: Language) -> set[float]:
    """Return the numbers that a text may mean: those in figures, and shares such as "half"."""
    found = {float(each) for each in re.findall(r"\d+(?:\.\d+)?", text)}
    for pattern, value in _SHARES[language]:
        if words.find(pattern, text, language):
            found.add(value)
    return found
