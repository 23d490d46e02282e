"""Numbers: their ranges, how people say them, and how a sensor list shows them."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from random import Random

from scripts.train_tiny.dialogues.language import Language
from scripts.train_tiny.dialogues.split import Part, is_held_out

Number = int | float


class Kind(StrEnum):
    """Kinds of numbers in commands."""

    PERCENT = "percent"
    DEGREES = "degrees"
    PERCENT_STEP = "percent step"
    DEGREE_STEP = "degree step"


_COMMANDED: dict[Kind, tuple[Number, ...]] = {
    Kind.PERCENT: tuple(range(1, 101)),
    Kind.DEGREES: tuple(step if step % 1 else int(step) for step in (half / 2 for half in range(10, 71))),
    Kind.PERCENT_STEP: tuple(range(1, 61)),
    Kind.DEGREE_STEP: (*range(1, 11), 0.5, 1.5, 2.5),
}
# Sensor readings: minimum, maximum, decimals, unit.
_READINGS = {
    "temperature": (-20, 45, 1, "°C"),
    "percent": (0, 100, 0, "%"),
    "ppm": (350, 2500, 0, "ppm"),
    "lux": (0, 2000, 0, "lx"),
    "watt": (0, 3500, 0, "W"),
    "hectopascal": (950, 1050, 0, "hPa"),
    "decibel": (20, 110, 0, "dB"),
    "dust": (0, 300, 0, "µg/m³"),
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_HUNDRED = 100
_TWO = 2
_BY_NAME: dict[Language, dict[Number, str]] = {
    Language.ENGLISH: {50: "half", 100: "maximum"},
    Language.CHINESE: {50: "一半", 100: "最大"},
}
_NAMED_SHARE = 0.25
_IN_WORDS_SHARE = 0.25


def draw_number(kind: Kind, random: Random, *, held_out: bool) -> Number:
    """Return a number for a command; at least half of the percentages are multiples of five."""
    numbers = _numbers(kind, held_out)
    if kind is Kind.PERCENT and random.random() < 1 / 2:
        return random.choice([number for number in numbers if number % 5 == 0])
    return random.choice(numbers)


@cache
def _numbers(kind: Kind, held_out: bool) -> tuple[Number, ...]:  # noqa: FBT001 - the cache's key
    return tuple(each for each in _COMMANDED[kind] if is_held_out(Part.VALUE, str(each)) == held_out)


def say(number: Number, kind: Kind, language: Language, random: Random) -> str:
    """Return a number's wording: in digits or words, with or without its unit."""
    if kind is Kind.PERCENT and number in _BY_NAME[language] and random.random() < _NAMED_SHARE:
        return _BY_NAME[language][number]
    say_it = _say_in_english if language is Language.ENGLISH else _say_in_chinese
    percent = kind in {Kind.PERCENT, Kind.PERCENT_STEP}
    return say_it(number, random, percent=percent, in_words=random.random() < _IN_WORDS_SHARE)


def _say_in_english(number: Number, random: Random, *, percent: bool, in_words: bool) -> str:
    spoken: tuple[str, ...] = (" degrees", " degrees celsius", "")
    if percent:
        spoken = (" percent", " percent", " per cent", "")
    elif number == 1:
        spoken = (" degree",)
    written = ("%", " %") if percent else ("°", " °C", "°C")
    unit: str = random.choice(spoken if in_words else (*spoken, *written))
    return f"{_english(number) if in_words else number}{unit}"


def _say_in_chinese(number: Number, random: Random, *, percent: bool, in_words: bool) -> str:
    text = _chinese(number) if in_words else str(number)
    if percent:
        forms: tuple[str, ...] = (
            (f"百分之{text}", text) if in_words else (f"百分之{text}", text, f"{text}%", f"{text}%")
        )
    elif in_words:
        forms = (f"{text}度半" if number % 1 else f"{text}度",)
    else:
        forms = (f"{text}度", f"{text}度", f"{text}度", f"{text}摄氏度", f"{text}°C", text)
    said: str = random.choice(forms)
    return said


def draw_reading(kind: str, random: Random, *, held_out: bool) -> str:
    """Return a sensor reading with its unit, such as `21.5 °C`."""
    least, largest, decimals, unit = _READINGS[kind]
    while True:
        shown = random.choice((decimals, decimals, 0))
        number = random.randint(least * 10**shown, largest * 10**shown) / 10**shown
        text = f"{number:.{shown}f}"
        if is_held_out(Part.VALUE, text) == held_out:
            return text + random.choice((" ", " ", " ", "")) + unit


def split_reading(reading: str) -> tuple[str, str]:
    """Return the number and the unit of a sensor reading; a state such as `open` has no unit."""
    match = _NUMBER.match(reading)
    number = match.group() if match else reading
    return number, reading[len(number) :].strip()


def _english(number: Number) -> str:
    whole = int(number)
    if whole == _HUNDRED:
        text = "a hundred"
    elif whole < len(_SMALL):
        text = _SMALL[whole]
    else:
        text = _TENS[whole // 10] + (f" {_SMALL[whole % 10]}" if whole % 10 else "")
    if number % 1:
        return f"{text} point five" if whole else "half a"
    return text


def _chinese(number: Number) -> str:
    digits = "零一二三四五六七八九"
    if number == _HUNDRED:
        return "一百"
    tens, ones = divmod(int(number), 10)
    text = {0: "", 1: "十"}.get(tens, f"{digits[tens]}十") + (digits[ones] if ones else "")
    return "两" if number == _TWO else text or "零"
