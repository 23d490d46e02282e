"""Values and durations of an intent, in words. Imports nothing of Home Assistant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_AND = {"en": " and ", "de": " und ", "zh": "、"}
_UNITS = {
    "hours": {"en": ("hour", "hours"), "de": ("Stunde", "Stunden"), "zh": ("小时", "小时")},
    "minutes": {"en": ("minute", "minutes"), "de": ("Minute", "Minuten"), "zh": ("分钟", "分钟")},
    "seconds": {"en": ("second", "seconds"), "de": ("Sekunde", "Sekunden"), "zh": ("秒", "秒")},
}
_COLORS = {
    "red": ("Rot", "红色"),
    "green": ("Grün", "绿色"),
    "blue": ("Blau", "蓝色"),
    "yellow": ("Gelb", "黄色"),
    "orange": ("Orange", "橙色"),
    "purple": ("Lila", "紫色"),
    "violet": ("Violett", "紫色"),
    "pink": ("Rosa", "粉色"),
    "white": ("Weiß", "白色"),
    "turquoise": ("Türkis", "青绿色"),
    "cyan": ("Cyan", "青色"),
    "magenta": ("Magenta", "品红色"),
    "gold": ("Gold", "金色"),
}
# The temperature of a light's colour begins here; rooms end before.
_KELVINS = 1000
_PERCENT = ("brightness", "position", "percentage", "volume_level", "humidity")


def values(arguments: Mapping[str, Any], language: str, degrees: str) -> str:
    """Return what an intent has set: `40 %`, `21.5 °C`, `40 % and red`; empty where it can't be said.

    Args:
        arguments: Of the intent.
        language: `en`, `de` or `zh`.
        degrees: The unit of temperatures.
    """
    said = [f"{_number(arguments[name], language)} %" for name in _PERCENT if arguments.get(name) is not None]
    if color := arguments.get("color"):
        named = _color(str(color), language)
        if not named:
            return ""
        said.append(named)
    if (temperature := arguments.get("temperature")) is not None:
        unit = "K" if isinstance(temperature, int | float) and temperature >= _KELVINS else degrees
        said.append(f"{_number(temperature, language)} {unit}")
    return _AND[language].join(said)


def duration(arguments: Mapping[str, Any], language: str) -> str:
    """Return how long: `1 hour and 5 minutes`; empty where nothing says so."""
    said = []
    for name, words in _UNITS.items():
        count = arguments.get(name)
        if isinstance(count, int | float) and count:
            between = "" if language == "zh" else " "
            said.append(f"{count:g}{between}{words[language][count != 1]}")
    if language == "zh":
        return "".join(said)
    return _AND[language].join(filter(None, (", ".join(said[:-1]), *said[-1:])))


def _color(name: str, language: str) -> str:
    if language == "en":
        return name.replace("_", " ")
    known = _COLORS.get(name.strip().lower())
    return known[language == "zh"] if known else ""


def _number(value: object, language: str) -> str:
    if not isinstance(value, int | float):
        return str(value)
    written = f"{value:g}"
    return written.replace(".", ",") if language == "de" else written
