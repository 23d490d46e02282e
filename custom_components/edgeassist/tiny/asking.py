"""What the model is asked: words that it was trained with, for what was said of this home.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

import re

from . import words
from .home import Thing
from .naming import Mention, replaced
from .quantities import quantity_of
from .words import Language

ROOM: dict[Language, str] = {"en": "kitchen", "zh": "厨房"}
_DEVICE_OF = {
    "light": "light",
    "switch": "socket",
    "input_boolean": "socket",
    "fan": "fan",
    "cover": "blinds",
    "climate": "heating",
    "media_player": "tv",
    "vacuum": "vacuum",
    "humidifier": "humidifier",
}
_WORD: dict[str, dict[Language, str]] = {
    "light": {"en": "light", "zh": "灯"},
    "socket": {"en": "socket", "zh": "插座"},
    "fan": {"en": "fan", "zh": "风扇"},
    "blinds": {"en": "blinds", "zh": "百叶窗"},
    "heating": {"en": "heating", "zh": "暖气"},
    "tv": {"en": "tv", "zh": "电视"},
    "speaker": {"en": "speaker", "zh": "音箱"},
    "curtains": {"en": "curtains", "zh": "窗帘"},
    "vacuum": {"en": "vacuum", "zh": "扫地机器人"},
    "humidifier": {"en": "humidifier", "zh": "加湿器"},
}
# What the model knows better: (what is said, what it is asked).
_OTHER_WORDS: dict[Language, tuple[tuple[str, str], ...]] = {
    "en": (
        (r"\b(?:shades?|awnings?|shutters?)\b", "blinds"),
        (r"\bdrapes\b", "curtains"),
        (r"\b(?:draw|drop)\b", "close"),
        (r"\b(?:pull|roll|put|let) up\b", "open"),
        (r"\b(?:pull|roll|put|let) down\b", "close"),
        (r"\blights? out\b", "lights off"),
        (r"\bvolume (up|down)\b", r"music \1"),
        (r"\b(?:full|maximum|max) (?:brightness|speed|volume)\b", "100 percent"),
    ),
    "zh": (("地暖", "暖气"), ("百叶(?!窗)", "百叶窗"), ("不热|不冷", "")),
}
# Whole commands that leave it at a hint: the one device that they may name, what is said, what is asked.
_HINTS: dict[Language, tuple[tuple[str, str, str], ...]] = {
    "en": (
        ("light", r"\b(?:brighter|lighter|more light)\b", "make the light brighter"),
        ("light", r"\b(?:darker|dimmer|less light)\b", "make the light darker"),
        ("light", r"\b(?:some|need|want) light\b", "turn on the light"),
        ("heating", r"\b(?:warmer|hotter)\b", "turn up the heating"),
        ("heating", r"\b(?:cooler|colder)\b", "turn down the heating"),
        ("heating", r"\b(?:increase|raise)\b.* by (\d+(?:\.\d+)?)", r"turn up the heating by \1 degrees"),
        (
            "heating",
            r"\b(?:decrease|lower|reduce)\b.* by (\d+(?:\.\d+)?)",
            r"turn down the heating by \1 degrees",
        ),
        (
            "heating",
            r"\b(?:heat|cool|warm|temperature)\b(?!.*\bby\b).*?(\d+(?:\.\d+)?)",
            r"set the heating to \1 degrees",
        ),
        ("heating", r"^(?!.*\bby\b).*?(\d+(?:\.\d+)?) degrees", r"set the heating to \1 degrees"),
        ("speaker", r"\blouder\b", "turn up the music"),
        ("speaker", r"\bquieter\b", "turn down the music"),
        ("vacuum", r"\b(?:home|dock|back|base|charg\w+)\b", "turn off the vacuum"),
        ("vacuum", r"\b(?:clean\w*|go)\b", "start the vacuum"),
    ),
    "zh": (
        ("light", r"亮一?[点些]", "灯亮一点"),
        ("light", r"暗一?[点些]", "灯暗一点"),
        ("heating", r"[暖热](?:和一?[点些]|一?[点些])", "暖气调高一点"),
        ("heating", r"[冷凉](?:快一?[点些]|一?[点些])", "暖气调低一点"),
        ("speaker", r"(?:大声|声音大|响)一?[点些]", "音箱大声一点"),
        ("speaker", r"(?:小声|声音小|轻|安静)一?[点些]", "音箱小声一点"),
        ("heating", r"(?:温度)?[调设定]\w*?到?(\d+(?:\.\d+)?)度", r"把温度调到\1度"),
        ("vacuum", r"充电|回去|回充", "关掉扫地机器人"),
    ),
}


def in_question(said: str, left: str, places: list[Mention], named: list[Mention], language: Language) -> str:
    """Return a question with the model's own room for the place, or the thing, that it is about."""
    spoken_of = bool(words.asked_for(left, language))
    swaps = [
        (mention, ROOM[language] if spoken_of else _called(mention.things[0], language)) for mention in named
    ]
    text = replaced(said, [*swaps, *((mention, ROOM[language]) for mention in places)])
    if not places and not named and spoken_of:
        text = f"{text} in the {ROOM[language]}" if language == "en" else f"{ROOM[language]}{text}"
    return _tidy(text)


def in_command(said: str, places: list[Mention], named: list[Mention], language: Language) -> str:
    """Return a command without its place, and with a device of that sort for the thing that it names."""
    swaps = [(mention, _device(mention.things[0], language)) for mention in named]
    text = _tidy(replaced(said, [*swaps, *((mention, "\0") for mention in places)]))
    text = _without_place(text, language)
    for pattern, other in _OTHER_WORDS[language]:
        text = re.sub(pattern, other, text)
    spoken = words.devices(text, language)
    for device, pattern, meant in _HINTS[language]:
        if spoken <= {device} and (found := re.search(pattern, text)):
            return found.expand(meant)
    return text


def is_known(thing: Thing) -> bool:
    """Whether a thing is of a domain that the model has a word for."""
    return thing.domain in _DEVICE_OF


def _called(thing: Thing, language: Language) -> str:
    """Return what the model calls a thing that it is asked about: a room, and what the thing says of it."""
    quantity = quantity_of(thing)
    between = " " if language == "en" else ""
    return ROOM[language] + (between + words.QUANTITIES[quantity][language][0] if quantity else "")


def _device(thing: Thing, language: Language) -> str:
    """Return what the model calls a device of that sort."""
    if thing.device_class == "curtain":
        return _WORD["curtains"][language]
    if thing.domain == "media_player" and thing.device_class != "tv":
        return _WORD["speaker"][language]
    return _WORD[_DEVICE_OF[thing.domain]][language]


def _without_place(text: str, language: Language) -> str:
    if language == "zh":
        return re.sub(r"在?\0(?:里面|里|那边|内)?的?", "", text)
    devices = "|".join(device["en"] for device in words.DEVICES.values())
    text = re.sub(rf"\0(?:'s)? (?=(?:{devices})\b)", "", text)
    text = re.sub(r" ?\b(?:in|at|of|from|for|inside|on(?= the)) (?:the |my |our )?\0(?:'s)?", "", text)
    return _tidy(re.sub(r"\b(?:the )?\0(?:'s)?|\0", "", text))


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" ,，")
