"""Readings in sentences, for a model that can't be asked for them. Imports nothing of Home Assistant.

A model that writes code where it was asked about the home reads badly, too: of a window that was closed, one
of half a billion parameters said that it was open. What few readings say needs no model, and is true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .direction import NOT
from .done import Language
from .tiny.names import named, what_of

# More is a list that nobody listens to.
_MOST = 4
_LONGEST = 200
_LINE = re.compile(r"- (?P<name>.+?)(?: \((?P<area>[^()]*)\))?: (?P<state>[^:]+)")
_STATES = ("on", "off", "open", "closed", "locked", "unlocked")
_WHICH: Mapping[Language, re.Pattern[str]] = {
    "en": re.compile(rf"\b(?:which|what|how many)\b.*\b(?P<state>{'|'.join(_STATES)})\b", re.IGNORECASE),
    "de": re.compile(
        r"\b(?:welche[rsmn]?|was|wie ?viele?)\b.*\b(?P<state>an|ein|aus|offen|zu|brenn(?:en|t))\b",
        re.IGNORECASE,
    ),
}
_MEANT = {
    "an": "on",
    "ein": "on",
    "aus": "off",
    "offen": "open",
    "zu": "closed",
    "brennen": "on",
    "brennt": "on",
}
# What a reading is called in other languages; what has no word here is left to the model.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "on": {"de": "ein", "zh": "开着"},
    "off": {"de": "aus", "zh": "关着"},
    "open": {"de": "offen", "zh": "开着"},
    "closed": {"de": "geschlossen", "zh": "关着"},
    "locked": {"de": "abgeschlossen", "zh": "锁着"},
    "unlocked": {"de": "nicht abgeschlossen", "zh": "没锁"},
    "detected": {"de": "erkannt", "zh": "有"},
    "not detected": {"de": "nicht erkannt", "zh": "没有"},
    "wet": {"de": "nass", "zh": "湿"},
    "dry": {"de": "trocken", "zh": "干"},
    "playing": {"de": "spielt", "zh": "正在播放"},
    "paused": {"de": "pausiert", "zh": "已暂停"},
    "not known": {"de": "nicht bekannt", "zh": "未知"},
}
_NONE: Mapping[Language, str] = {"en": "None of them is {state}.", "de": "Nichts davon ist {state}."}
# One of them, and several.
_ARE: Mapping[Language, tuple[str, str]] = {"en": ("is", "are"), "de": ("ist", "sind")}
_MEASURED = re.compile(r"-?\d+(?:[.,]\d+)?(?: \S+)?")


def told_plainly(readings: str, said: str, language: Language) -> str | None:
    """Return what readings say of a question; None where that is left to a model.

    Args:
        readings: As `looking.told` returns them.
        said: The question.
        language: Of the sentence.
    """
    found = [_LINE.fullmatch(line) for line in readings.split("\n")]
    pairs = [(each["name"], each["state"]) for each in found if each]
    if len(pairs) < len(found):
        return None
    if (asked := _which(said, language)) and {state for _, state in pairs} <= set(_STATES):
        return _those(asked, pairs, language)
    if len(pairs) > _MOST:
        return None
    words = [_sentence(name, state, language) for name, state in pairs]
    return ("" if language == "zh" else " ").join(filter(None, words)) if all(words) else None


def _which(said: str, language: Language) -> str | None:
    pattern = _WHICH.get(language)
    asked = pattern.search(said[:_LONGEST]) if pattern else None
    if asked is None or NOT.search(said):
        return None
    state = asked["state"].casefold()
    return _MEANT.get(state, state)


def _those(asked: str, pairs: Sequence[tuple[str, str]], language: Language) -> str | None:
    names = [name for name, state in pairs if state == asked]
    if not names:
        return _NONE[language].format(state=_in(asked, language))
    what = what_of([("entity", name, "") for name in names], language)
    return _capital(f"{what} {_ARE[language][len(names) > 1]} {_in(asked, language)}.")


def _sentence(name: str, state: str, language: Language) -> str | None:
    words = _in(state, language)
    if words is None:
        return None
    match language:
        case "en":
            return _capital(f"{named(name)} is {words}.")
        case "de":
            return f"{name}: {words}."
        case _:
            return f"{name}：{words}。"


def _in(state: str, language: Language) -> str | None:
    if language == "en" or _MEASURED.fullmatch(state):
        return state
    return _WORDS.get(state, {}).get(language)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
