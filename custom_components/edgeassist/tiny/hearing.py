"""Prepares what somebody said for the model: names of this home become words that it knows, which is its safest copying.

"Dim mum's reading lamp in the den to 30" becomes "dim the light to 30", and what was named is kept beside it. A room is
left out of a command, since where something happens is known without the model, and is "kitchen" in a question.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from . import numerals, words
from .home import Home, Place, Thing
from .quantities import quantity_of
from .words import HAN, Language

ROOM: dict[Language, str] = {"en": "kitchen", "zh": "厨房"}
# The most that is looked at; a command is short.
LONGEST = 200
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
# Moved only in Home Assistant's own sentences, which match what is said exactly.
_BARRED = ("garage", "gate", "door", "window")
_SIMPLIFIED = str.maketrans(
    "開關燈廚臥廳間窗簾門鎖調亮溫濕電視聲響樂風轉機掃淨氣陽臺檯單車庫書蘭樓層頂園後嗎兩個這裡讓將變紅綠藍黃紫顏還設為點麼幾"
    "爐買內過請幫緊熱涼動啟閉臨衛餐廁",
    "开关灯厨卧厅间窗帘门锁调亮温湿电视声响乐风转机扫净气阳台台单车库书兰楼层顶园后吗两个这里让将变红绿蓝黄紫颜还设为点么几"
    "炉买内过请帮紧热凉动启闭临卫餐厕",
)
_JOINED = re.compile(r"\s*(?:,|，|、|&|\band\b|和|跟|与|以及|及)\s*(?:(?:in )?the\s)?\s*")
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
# Whole commands that leave it at a hint: (the one device that they may name, what is said, what the model is asked).
_HINTS: dict[Language, tuple[tuple[str, str, str], ...]] = {
    "en": (
        ("light", r"\b(?:brighter|lighter|more light)\b", "make the light brighter"),
        ("light", r"\b(?:darker|dimmer|less light)\b", "make the light darker"),
        ("light", r"\b(?:some|need|want) light\b", "turn on the light"),
        ("heating", r"\b(?:warmer|hotter)\b", "turn up the heating"),
        ("heating", r"\b(?:cooler|colder)\b", "turn down the heating"),
        ("heating", r"\b(?:increase|raise)\b.* by (\d+(?:\.\d+)?)", r"turn up the heating by \1 degrees"),
        ("heating", r"\b(?:decrease|lower|reduce)\b.* by (\d+(?:\.\d+)?)", r"turn down the heating by \1 degrees"),
        ("heating", r"\b(?:heat|cool|warm|temperature)\b(?!.*\bby\b).*?(\d+(?:\.\d+)?)", r"set the heating to \1 degrees"),
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


@dataclass(frozen=True, slots=True)
class _Mention:
    start: int
    end: int
    place: Place | None
    things: tuple[Thing, ...]


def hear(text: str, language: str, home: Home) -> Heard:
    """Prepare what was said.

    Args:
        text: What was said.
        language: The conversation's, as `en-GB`; Chinese script is Chinese in any.
        home: Whose names to look for.
    """
    said = _plain(text)
    if len(said) > LONGEST:
        return Heard("", "en", why=Why.OTHER)
    mentions = _joined(said, _mentions(said, home))
    places = [mention for mention in mentions if mention.place]
    named = [mention for mention in mentions if mention.things]
    left = _replaced(said, [(mention, " ") for mention in mentions])
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
    why = _not_asked(heard, left, len(places), len(named))
    if why:
        return replace(heard, why=why)
    return replace(heard, text=_asked(heard, said, places, named))


def parts(text: str) -> list[str]:
    """Return the commands of a sentence with several, or the sentence alone."""
    said = _plain(text)
    cut = re.split(r",? and then |,? then |,? and |，?然后再?|，?并且?|，", said)
    verbs = (
        r"\b(?:turn|switch|set|dim|open|close|start|stop|make|put|shut|lower|raise|change)\b|[开关调停设打拉]"
    )
    if 1 < len(cut) <= 3 and all(re.search(verbs, part) for part in cut):
        return cut
    return [said]


def _plain(text: str) -> str:
    said = " ".join(text.replace("’", "'").split()).casefold().strip(" .!?。！？,，;；")
    if HAN.search(said):
        said = said.translate(_SIMPLIFIED)
        said = re.sub(r"(?<=[\u3400-\u9fff]) +(?=[\u3400-\u9fff])", "", said)
    return numerals.in_figures(said)


def _spellings(name: str) -> Iterable[str]:
    plain = _plain(name).replace("_", " ")
    yield plain
    for other in (plain.replace("'", ""), plain.replace("-", " ")):
        if other != plain:
            yield other


def _mentions(said: str, home: Home) -> list[_Mention]:
    """Return the names that were said, the longest first where they overlap, in their order."""
    things: dict[str, dict[str, Thing]] = {}
    for name, thing in home.called():
        for spelling in _spellings(name):
            if spelling and not _is_plain(spelling):
                things.setdefault(spelling, {})[thing.entity_id] = thing
    places: dict[str, Place] = {}
    for name, place in home.places():
        for spelling in _spellings(name):
            if spelling:
                places.setdefault(spelling, place)
    found = []
    for spelling in things.keys() | places.keys():
        for start in _found(spelling, said):
            named = tuple(things.get(spelling, {}).values())
            place = None if named else places[spelling]
            found.append(_Mention(start, start + len(spelling), place, named))
    found = [mention for mention in found if not any(_cuts(mention, other) for other in found)]
    found.sort(key=lambda mention: (mention.start - mention.end, mention.start))
    chosen: list[_Mention] = []
    for mention in found:
        if all(mention.end <= other.start or mention.start >= other.end for other in chosen):
            chosen.append(mention)
    return sorted(chosen, key=lambda mention: mention.start)


def _cuts(thing: _Mention, place: _Mention) -> bool:
    """Whether a thing's name begins or ends within a place's: "bedroom curtains" in "master bedroom curtains"."""
    if thing.place or not place.place:
        return False
    apart = thing.end <= place.start or place.end <= thing.start
    within = thing.start <= place.start and place.end <= thing.end
    return not apart and not within


def _is_plain(name: str) -> bool:
    """Whether a name only says what sort of device it is, as "lamp" does."""
    return any(
        re.fullmatch(pattern, name) for device in words.DEVICES.values() for pattern in device.values()
    )


def _found(name: str, said: str) -> Iterable[int]:
    start = said.find(name)
    while start >= 0:
        before, after = said[start - 1 : start], said[start + len(name) : start + len(name) + 1]
        whole = not (_goes_on(before, name[0]) or _goes_on(after, name[-1]))
        if whole and (len(name) > 1 or not name.isascii()):
            yield start
        start = said.find(name, start + 1)


def _goes_on(sign: str, beside: str) -> bool:
    return sign.isascii() and sign.isalnum() and beside.isascii() and beside.isalnum()


def _joined(said: str, mentions: list[_Mention]) -> list[_Mention]:
    """Return the mentions with "the kitchen and the den" as one place."""
    merged: list[_Mention] = []
    for mention in mentions:
        last = merged[-1] if merged else None
        if last and last.place and mention.place and _JOINED.fullmatch(said[last.end : mention.start]):
            areas = tuple(dict.fromkeys((*last.place.areas, *mention.place.areas)))
            place = Place(f"{last.place.name} + {mention.place.name}", areas)
            merged[-1] = _Mention(last.start, mention.end, place, ())
        else:
            merged.append(mention)
    return merged


def _not_asked(heard: Heard, left: str, places: int, named: int) -> Why | None:
    if words.OTHERS[heard.language].search(left):
        return Why.OTHER
    if places > 1 or named > 1:
        return Why.SEVERAL
    if named and not heard.question and any(_is_exact(thing) for thing in heard.things):
        return Why.EXACT
    if not heard.question and re.search(r"\band\b|然后|并且|以及", left):
        return Why.SEVERAL
    return None


def _is_exact(thing: Thing) -> bool:
    return thing.domain not in _DEVICE_OF or (thing.domain == "cover" and thing.device_class in _BARRED)


def _asked(heard: Heard, said: str, places: list[_Mention], named: list[_Mention]) -> str:
    language = heard.language
    if heard.question:
        spoken_of = bool(words.asked_for(heard.left, language))
        swaps = [
            (mention, ROOM[language] if spoken_of else _in_question(mention.things[0], language))
            for mention in named
        ]
        text = _replaced(said, [*swaps, *((mention, ROOM[language]) for mention in places)])
        if not places and not named and spoken_of:
            text = f"{text} in the {ROOM[language]}" if language == "en" else f"{ROOM[language]}{text}"
        return _tidy(text)
    swaps = [(mention, _in_command(mention.things[0], language)) for mention in named]
    text = _tidy(_replaced(said, [*swaps, *((mention, "\0") for mention in places)]))
    text = _without_place(text, language)
    for pattern, other in _OTHER_WORDS[language]:
        text = re.sub(pattern, other, text)
    spoken = words.devices(text, language)
    for device, pattern, meant in _HINTS[language]:
        if spoken <= {device} and (found := re.search(pattern, text)):
            return found.expand(meant)
    return text


def _in_question(thing: Thing, language: Language) -> str:
    """Return what the model calls a thing that it is asked about: a room, and what the thing says of it."""
    quantity = quantity_of(thing)
    between = " " if language == "en" else ""
    return ROOM[language] + (between + words.QUANTITIES[quantity][language][0] if quantity else "")


def _in_command(thing: Thing, language: Language) -> str:
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


def _replaced(said: str, swaps: list[tuple[_Mention, str]]) -> str:
    for mention, word in sorted(swaps, key=lambda swap: -swap[0].start):
        said = said[: mention.start] + word + said[mention.end :]
    return said


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" ,，")
